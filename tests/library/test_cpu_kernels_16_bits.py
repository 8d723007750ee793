"""Arrays of 16 bits on the native CPU kernels: everything but their own rounding is float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, bidirectional
from birnn_jax.cells import SLSTM
from birnn_jax.kernels.cpu import library as cpu
from tests.library import _oracles
from tests.library import _variant_oracles as variants
from tests.library._cases import H, random_inputs

pytestmark = pytest.mark.skipif(not cpu.is_registered(), reason=cpu.load().note)

CELLS = pytest.mark.parametrize(
    ("cell", "step"),
    [
        (ELMAN, _oracles.elman_step),
        (GRU, _oracles.gru_step),
        (LSTM, _oracles.lstm_step),
        (SLSTM.with_init(heads=H), variants.slstm_step),
    ],
    ids=["elman", "gru", "lstm", "slstm_heads"],
)
DTYPES = pytest.mark.parametrize("dtype", ["bfloat16", "float16"])


def run(cell, params, xs, lengths, carry):
    return bidirectional(
        cell, params, xs, lengths, initial_carry=carry, backend="cpu_kernel", residuals="gates"
    )


@CELLS
@DTYPES
def test_outputs_differ_from_the_equations_by_the_last_rounding_alone(cell, step, dtype):
    inputs = random_inputs(cell, dtype=dtype)
    carry, ys = run(cell, *inputs)
    right_carry, right_ys = _oracles.bidirectional((step, step), *inputs)
    assert ys.dtype == dtype and carry.fwd.h.dtype == jnp.float32
    rounding = float(jnp.finfo(dtype).eps) / 2
    for got, right in zip(jnp.split(ys, [H], axis=-1), right_ys, strict=True):
        np.testing.assert_allclose(np.asarray(got, np.float64), right, rtol=rounding, atol=2e-6)
    for got, right in zip(*map(jax.tree.leaves, (carry, right_carry)), strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-5, atol=5e-6)


@CELLS
@DTYPES
def test_gradients_of_params_are_those_of_float32_rounded(cell, step, dtype):
    del step
    inputs = random_inputs(cell, dtype=dtype)
    weights = jnp.linspace(-1, 1, 2 * H, dtype=dtype).astype("float32")

    def grads(params, xs):
        def loss(params, xs):
            ys = run(cell, params, xs, inputs.lengths, inputs.carry)[1]
            return (ys.astype("float32") * weights[None, None]).sum()

        return jax.jit(jax.grad(loss, (0, 1)))(params, xs)

    low = (inputs.params, inputs.xs)
    wide = jax.tree.map(lambda leaf: leaf.astype("float32"), low)
    (d_params, d_xs), (right_params, right_xs) = grads(*low), grads(*wide)
    for got, right in zip(*map(jax.tree.leaves, (d_params, right_params)), strict=True):
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, right.astype(dtype))
    # Those of both directions are rounded, then added.
    error = np.linalg.norm(np.asarray(d_xs, np.float64) - right_xs)
    assert d_xs.dtype == dtype and error <= jnp.finfo(dtype).eps * np.linalg.norm(right_xs)
