"""One direction over ragged batches: the contract for padding, lengths and carries."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Cell, scan_cell
from tests.library import _oracles
from tests.library._cases import (
    LENGTHS,
    PADDING,
    B,
    D,
    T,
    assert_close,
    assert_equal,
    jit_scan_cell,
    random_cell,
    random_xs,
)

pytestmark = pytest.mark.usefixtures("strict_dtypes")

DIRECTIONS = pytest.mark.parametrize("reverse", [False, True], ids=["fwd", "bwd"])


@DIRECTIONS
def test_scan_matches_loop_on_ragged_batch(case, reverse):
    params, carry = random_cell(case.cell, 1)
    zeros = jax.tree.map(jnp.zeros_like, carry)
    want = _oracles.scan(case.oracle, params, random_xs(), LENGTHS, zeros, reverse=reverse)
    assert_close(jit_scan_cell(case.cell, params, random_xs(), LENGTHS, reverse=reverse), want)


def test_scan_in_eager_mode_starts_at_the_carry_given():
    params, carry = random_cell(LSTM, 1)
    want = _oracles.scan(_oracles.lstm_step, params, random_xs(), LENGTHS, carry)
    assert_close(scan_cell(LSTM, params, random_xs(), LENGTHS, initial_carry=carry), want)


def test_initial_carry_of_a_cell_need_not_be_zero():
    params, carry = random_cell(GRU, 1)
    alike = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), carry)
    starting = GRU._replace(init_carry=lambda params: jax.tree.map(lambda x: x[0], carry))
    want = _oracles.scan(_oracles.gru_step, params, random_xs(), LENGTHS, alike)
    assert_close(scan_cell(starting, params, random_xs(), LENGTHS), want)


@DIRECTIONS
def test_sequence_of_one_step_is_one_step_of_the_cell(reverse):
    params, carry = random_cell(LSTM, 1)
    xs = random_xs(0, B, 1, D)
    got, ys = jit_scan_cell(LSTM, params, xs, initial_carry=carry, reverse=reverse)
    want, y = jax.vmap(LSTM.step, in_axes=(None, 0, 0))(params, carry, xs[:, 0])
    assert_close((got, ys[:, 0]), (want, y))


def test_sequence_in_two_parts_equals_the_whole():
    params, carry = random_cell(GRU, 1)
    run = functools.partial(jit_scan_cell, GRU, params)
    middle, first = run(random_xs()[:, :2], LENGTHS, initial_carry=carry)
    end, rest = run(random_xs()[:, 2:], LENGTHS - 2, initial_carry=middle)
    want = run(random_xs(), LENGTHS, initial_carry=carry)
    assert_close((end, jnp.concatenate([first, rest], axis=1)), want)


def test_lengths_none_means_all_steps():
    params, _ = random_cell(LSTM, 1)
    got = jit_scan_cell(LSTM, params, random_xs())
    assert_close(got, jit_scan_cell(LSTM, params, random_xs(), np.full(B, T, np.int32)))


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_lengths_of_narrow_integers_reach_far(dtype):
    params, _ = random_cell(ELMAN, 1)
    xs, lengths = random_xs(0, B, 300, D), np.array([120, 2, 0])
    _, ys = jit_scan_cell(ELMAN, params, xs, lengths.astype(dtype))
    assert_equal((ys != 0).any(axis=2).sum(axis=1), jnp.asarray(lengths, jnp.int32))


def test_carry_of_integers_is_frozen_in_padding():
    counting = Cell(
        init=lambda key, input_size, hidden_size: None,
        init_carry=lambda params: jnp.zeros([], jnp.int32),
        step=lambda params, carry, x: (carry + 1, x),
    )
    count, ys = scan_cell(counting, None, random_xs(), LENGTHS)
    assert_equal(count, jnp.array(LENGTHS))
    assert_equal(ys, jnp.where(PADDING[..., None], 0, random_xs()))


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_scan_computes_in_the_dtype_of_the_params(case, dtype, x64):
    params, carry = random_cell(case.cell, 1, dtype=dtype)
    run = functools.partial(scan_cell, case.cell)
    xs = random_xs(dtype="float32")
    shapes = jax.eval_shape(run, params, xs, LENGTHS, initial_carry=carry)
    assert shapes[0] == jax.eval_shape(lambda: carry)
    assert shapes[1].dtype == dtype


@DIRECTIONS
def test_carry_given_in_bfloat16_becomes_float32(reverse):
    params, carry = random_cell(LSTM, 1, dtype="bfloat16")
    carry = carry._replace(c=carry.c.astype("bfloat16"))
    args = (params, random_xs(dtype="bfloat16"), LENGTHS)
    got, ys = jit_scan_cell(LSTM, *args, initial_carry=carry, reverse=reverse)
    assert (got.c.dtype, got.h.dtype, ys.dtype) == (jnp.float32, jnp.float32, jnp.bfloat16)
    want = _oracles.scan(_oracles.lstm_step, *args, carry, reverse=reverse)
    assert_close((got, ys), want, "bfloat16")
