"""What every test runs on: one set of sizes, one table of cells, one table of tolerances.

A new cell is one more row of `CASES`, with its equations in `_oracles.py`.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import ELMAN, GRU, LSTM, Bi, Cell, bidirectional, scan_cell
from tests.library import _oracles

# All different, so that no axis can be taken for another.
B, T, D, H = 3, 5, 2, 7
LENGTHS = np.array([T, 2, 0], np.int32)
PADDING = np.arange(T) >= LENGTHS[:, None]  # [B, T]

TOLERANCES = {
    "float64": {"rtol": 1e-12, "atol": 1e-13},
    "float32": {"rtol": 1e-5, "atol": 5e-6},
    "bfloat16": {"rtol": 3e-2, "atol": 3e-2},
}


def _clocked_init(key, input_size, hidden_size):
    zeros = functools.partial(jnp.zeros, dtype=jnp.float32)
    return {
        "input": jax.random.normal(key, [input_size, hidden_size]),
        "state": zeros([hidden_size, hidden_size]),
        "bias": zeros([hidden_size]),
        "output": zeros([hidden_size, hidden_size + 4]),
    }


def _clocked_init_carry(params):
    return {
        "trace": jnp.zeros_like(params["bias"]),
        "clock": jnp.zeros([], params["bias"].dtype),
    }


def _clocked_step(params, carry, x):
    trace = jnp.tanh(x @ params["input"] + carry["trace"] @ params["state"] + params["bias"])
    trace = trace + jnp.sin(carry["clock"])[None]
    return {"trace": trace, "clock": carry["clock"] + 1}, trace @ params["output"]


CLOCKED = Cell(_clocked_init, _clocked_init_carry, _clocked_step)
"""A user's cell, as unlike the built-in ones as the contract allows.

Parameters and carry are dicts, one leaf of the carry is a scalar that moves by itself, and the
output is neither the state nor of its size.
"""


class Case(NamedTuple):
    """A cell, and its step in float64."""

    cell: Cell
    oracle: Callable


CASES = {
    "elman": Case(ELMAN, _oracles.elman_step),
    "gru": Case(GRU, _oracles.gru_step),
    "lstm": Case(LSTM, _oracles.lstm_step),
    "clocked": Case(CLOCKED, _oracles.clocked_step),
}
STEPS = {case.cell: case.oracle for case in CASES.values()}  # the oracle of each cell


class Inputs(NamedTuple):
    """The arguments of `bidirectional` after the cell."""

    params: Bi
    xs: jax.Array  # [B, T, D]
    lengths: np.ndarray  # [B]
    carry: Bi


def random_like(tree, seed, dtype="float32"):
    """Random normal values in every leaf: no zero biases, nothing constant; None keeps dtypes."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        values = np.asarray(0.7 * rng.normal(size=leaf.shape))
        return jax.device_put(values.astype(dtype or leaf.dtype))  # which compiles nothing

    return jax.tree.map(draw, tree)


def random_cell(cell, seed, *, input_size=D, hidden_size=H, batch_size=B, dtype="float32"):
    """Random parameters of `dtype` for one direction, and a random carry of the cell's dtypes."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(lambda key: cell.init(key, input_size, hidden_size), key)
    params = random_like(params, seed, dtype)
    carry = jax.eval_shape(cell.init_carry, params)
    of_rows = lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape), leaf.dtype)  # noqa: E731
    carry = jax.tree.map(of_rows, carry)
    return params, as_reachable(random_like(carry, seed + 1, None))


def as_reachable(carry):
    """A carry as a step leaves it: the normaliser of the sLSTM is at least 1."""
    return carry._replace(n=1 + jnp.abs(carry.n)) if hasattr(carry, "n") else carry


def random_xs(seed=0, *shape, dtype="float32"):
    return random_like(jax.ShapeDtypeStruct(shape or (B, T, D), dtype), seed + 100, dtype)


def random_inputs(cell, *, dtype="float32", batch_size=B):
    """Random arguments for `bidirectional`, with a carry of its own in each direction."""
    pairs = [random_cell(cell, seed, batch_size=batch_size, dtype=dtype) for seed in (10, 20)]
    params, carry = (Bi(*pair) for pair in zip(*pairs, strict=True))
    return Inputs(params, random_xs(0, batch_size, T, D, dtype=dtype), LENGTHS, carry)


# One compiled function of each kind, shared by all tests.
jit_scan_cell = jax.jit(scan_cell, static_argnames=("cell", "reverse"))
jit_bidirectional = jax.jit(bidirectional, static_argnames=("cell", "merge"))


@functools.partial(jax.jit, static_argnames="cell")
def outputs_and_grads(cell, params, xs, lengths, carry, *, weight_of_ys=1.0):
    """`bidirectional`, and the gradients of `weigh` by parameters, inputs and initial carries."""

    def loss(params, xs, carry):
        outputs = bidirectional(cell, params, xs, lengths, initial_carry=carry)
        return weigh(outputs[0]) + weight_of_ys * weigh(outputs[1]), outputs

    (_, outputs), grads = jax.value_and_grad(loss, (0, 1, 2), has_aux=True)(params, xs, carry)
    return outputs, grads


def weigh(tree):
    """A scalar to which every entry contributes by another weight, the same in every row.

    Steps come before features, so that the weights of a step do not depend on T or B.
    """

    def one(leaf):
        weights = np.sin(1.0 + np.arange(math.prod(leaf.shape[1:]))).reshape(leaf.shape[1:])
        return (leaf * jnp.asarray(weights, leaf.dtype)[None]).sum()

    return sum(one(leaf) for leaf in jax.tree.leaves(tree))


def assert_close(got, want, dtype="float32"):
    """Trees of one structure, equal up to the rounding of `dtype`."""

    def check(got, want):
        got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
        np.testing.assert_allclose(got, want, **TOLERANCES[dtype], strict=True)

    jax.tree.map(check, got, want)


def assert_equal(got, want):
    """Trees of one structure, equal bit for bit, with no NaN."""

    def check(got, want):
        np.testing.assert_array_equal(got, want, strict=True)
        assert np.isfinite(np.asarray(got, np.float64)).all()

    jax.tree.map(check, got, want)
