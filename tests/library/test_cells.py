"""One step of every cell against its equations, and what `Cell` promises."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM
from tests.library._cases import D, H, assert_close, random_cell, random_like

pytestmark = pytest.mark.usefixtures("strict_dtypes")

BUILT_IN = pytest.mark.parametrize(
    ("cell", "num_gates"), [(ELMAN, 1), (GRU, 3), (LSTM, 4)], ids=["elman", "gru", "lstm"]
)


def _one_step(case, dtype):
    params, carry = random_cell(case.cell, 1, dtype=dtype)
    return params, jax.tree.map(lambda leaf: leaf[0], carry), random_like(jnp.zeros(D), 2, dtype)


def _as_float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_step_matches_the_equations(case, dtype, x64):
    args = _one_step(case, dtype)
    assert_close(case.cell.step(*args), case.oracle(*_as_float64(args)), dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_step_keeps_structure_shapes_and_dtypes_of_the_carry(case, dtype):
    params, carry, x = _one_step(case, dtype)
    initial = jax.eval_shape(case.cell.init_carry, params)
    assert initial == jax.eval_shape(lambda: carry)
    assert jax.eval_shape(case.cell.step, params, initial, x)[0] == initial


def test_carry_starts_at_zero(case):
    params, _, _ = _one_step(case, "float32")
    assert not any(leaf.any() for leaf in jax.tree.leaves(case.cell.init_carry(params)))


def test_cell_is_a_constant(case):
    assert pickle.loads(pickle.dumps(case.cell)) == case.cell
    assert hash(case.cell) == hash(pickle.loads(pickle.dumps(case.cell)))


@BUILT_IN
def test_init_sizes_every_gate(cell, num_gates):
    params = cell.init(jax.random.key(0), D, H)
    assert params.w_x.shape == (D, num_gates * H)
    assert params.w_h.shape == (H, num_gates * H)
    assert params.b.shape == (num_gates * H,)


@BUILT_IN
def test_init_draws_recurrent_weights_orthogonal_in_every_gate(cell, num_gates):
    blocks = jnp.split(cell.init(jax.random.key(0), D, H).w_h, num_gates, axis=1)
    assert_close([block @ block.T for block in blocks], [np.eye(H)] * num_gates)


@BUILT_IN
def test_init_draws_every_gate_on_its_own(cell, num_gates):
    params = cell.init(jax.random.key(0), H, H)  # square, so that w_x and w_h could be the same
    blocks = np.split(np.concatenate([params.w_x, params.w_h], axis=1), 2 * num_gates, axis=1)
    values = np.stack(blocks).reshape(2 * num_gates, -1)
    assert len(np.unique(values)) == values.size


@BUILT_IN
def test_init_is_a_function_of_its_key(cell, num_gates):
    one, same, other = (cell.init(jax.random.key(seed), D, H) for seed in (0, 0, 1))
    assert (one.w_x == same.w_x).all() and (one.w_h == same.w_h).all()
    assert (one.w_x != other.w_x).all() and (one.w_h != other.w_h).any()


@pytest.mark.parametrize(
    ("options", "forget_bias"), [({}, 1.0), ({"forget_bias": 2.5}, 2.5)], ids=["default", "given"]
)
def test_lstm_starts_with_the_forget_bias_asked_for(options, forget_bias):
    b = LSTM.init(jax.random.key(0), D, H, **options).b
    np.testing.assert_array_equal(b.reshape(4, H)[1], forget_bias)
    np.testing.assert_array_equal(b.reshape(4, H)[jnp.array([0, 2, 3])], 0)
