"""The native CPU kernels give what the equations say, for every size and instruction set."""

import ctypes
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, bidirectional, scan_cell
from birnn_jax.kernels import cpu
from tests import _oracles
from tests._cases import random_cell, random_like, random_xs, weigh

pytestmark = pytest.mark.skipif(not cpu.is_registered(), reason=cpu.load().note)

STEPS = {ELMAN: _oracles.elman_step, GRU: _oracles.gru_step, LSTM: _oracles.lstm_step}
CELLS = pytest.mark.parametrize("cell", STEPS, ids=["elman", "gru", "lstm"])

# B, T, D, H: around the widths of vectors and the rows of tiles, above the blocks of weights,
# and more visits than are differentiated at once.
SIZES = [
    (1, 3, 1, 1),
    (15, 2, 33, 16),
    (16, 3, 31, 15),
    (17, 4, 15, 31),
    (31, 2, 16, 17),
    (33, 5, 17, 33),
    (2, 3, 140, 150),
    (3, 90, 2, 5),
    (1, 150, 65, 66),
]


def make_inputs(cell, sizes, scale=0.4):
    batch_size, num_steps, input_size, hidden_size = sizes
    options = {"input_size": input_size, "hidden_size": hidden_size, "batch_size": batch_size}
    pairs = [random_cell(cell, seed, **options) for seed in (10, 20)]
    params, carry = (Bi(*pair) for pair in zip(*pairs, strict=True))
    params = jax.tree.map(lambda w: scale * w / max(w.shape[0], 1) ** 0.5, params)
    return params, random_xs(0, batch_size, num_steps, input_size), carry


def make_lengths(batch_size, num_steps):
    return np.random.default_rng(0).permutation(np.arange(batch_size) % (num_steps + 1))


@functools.partial(jax.jit, static_argnames=("cell", "residuals"))
def run(cell, params, xs, lengths, carry, residuals="gates"):
    """Outputs, and the gradients of `weigh`."""

    def loss(params, xs, carry):
        outputs = bidirectional(
            cell,
            params,
            xs,
            lengths,
            initial_carry=carry,
            residuals=residuals,
            backend="cpu_kernel",
        )
        return weigh(outputs), outputs

    (_, outputs), grads = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(params, xs, carry)
    return outputs, grads


def want(cell, params, xs, lengths, carry):
    steps = (STEPS[cell],) * 2
    carries, ys = _oracles.bidirectional(steps, params, xs, lengths, carry)
    return Bi(*carries), np.concatenate(ys, axis=-1)


def weigh_in_float64(outputs):
    def one(leaf):
        weights = np.sin(1.0 + np.arange(leaf[0].size)).reshape(leaf.shape[1:])
        return (leaf * weights.astype(np.float32)).sum()

    return sum(one(leaf) for leaf in jax.tree.leaves(outputs))


def derivative(cell, params, xs, lengths, carry, direction, size=1e-6):
    """Of `weigh` in a direction, from the equations in float64, by differences."""

    def at(size):
        moved = jax.tree.map(
            lambda leaf, d: np.asarray(leaf, np.float64) + size * d, (params, xs, carry), direction
        )
        return weigh_in_float64(want(cell, moved[0], moved[1], lengths, moved[2]))

    return (at(size) - at(-size)) / (2 * size)


def assert_near(got, want):
    """Within 1e-5 of the largest entry."""

    def check(got, want):
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        assert got.shape == want.shape
        assert np.abs(got - want).max(initial=0) <= 1e-5 * max(1, np.abs(want).max(initial=0))

    jax.tree.map(check, got, want)


def dot(a, b):
    products = jax.tree.map(lambda a, b: (np.asarray(a, np.float64) * b).sum(), a, b)
    return sum(jax.tree.leaves(products))


@CELLS
@pytest.mark.parametrize("sizes", SIZES, ids=lambda sizes: "-".join(map(str, sizes)))
@pytest.mark.parametrize("ragged", [False, True], ids=["full", "ragged"])
def test_kernels_of_every_instruction_set_match_the_equations(cell, sizes, ragged):
    params, xs, carry = make_inputs(cell, sizes)
    batch_size, num_steps, *_ = sizes
    lengths = make_lengths(batch_size, num_steps) if ragged else np.full(batch_size, num_steps)
    args = (params, xs, lengths, carry)
    direction = random_like((params, xs, carry), 7, "float64")
    outputs, slope = want(cell, *args), derivative(cell, *args, direction)
    terms = sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(outputs))
    for isa in cpu.find_isas():
        with cpu.forced_isa(isa):
            got, grads = jax.block_until_ready(run(cell, params, xs, lengths, carry))
        assert_near(got, outputs)
        assert abs(dot(grads, direction) - slope) <= 2e-6 * max(terms, 1)
