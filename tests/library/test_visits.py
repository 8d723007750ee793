"""Masks with gaps and packed segments, against the same steps run apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import LSTM, Bi, Mask, Segments, bidirectional, max_pool, mean_pool
from birnn_jax.cells import MINGRU, parallel
from birnn_jax.models import attention_pool, init_attention_pool
from tests.library._cases import (
    D,
    T,
    assert_close,
    assert_equal,
    jit_bidirectional,
    outputs_and_grads,
    random_inputs,
    random_xs,
    weigh,
)

pytestmark = pytest.mark.usefixtures("strict_dtypes")

# Gaps, padding on the left, nothing at all.
VALID = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
# Two neighbours, a gap inside a segment and between two, and a number that comes back.
SEGMENTS = np.array([[4, 4, 9, 9, 9], [0, 3, 0, 3, 1], [2, 7, 2, 0, 0]])
RUNS = [
    (0, [0, 1]),
    (0, [2, 3, 4]),
    (1, [1, 3]),
    (1, [4]),
    (2, [0]),
    (2, [1]),
    (2, [2]),
]


def _row(tree, row):
    return jax.tree.map(lambda leaf: leaf[row : row + 1], tree)


def test_mask_equals_the_visited_steps_cut_out(case):
    inputs = random_inputs(case.cell)
    (carry, ys), grads = _with_visits(case.cell, inputs, Mask(VALID))
    for row, valid in enumerate(VALID):
        one = inputs._replace(xs=inputs.xs[row : row + 1, valid], carry=_row(inputs.carry, row))
        (want_carry, want_ys), want = _with_visits(case.cell, one, None)
        assert_close(_row(carry, row), want_carry)
        assert_close(ys[row : row + 1, valid], want_ys)
        assert_equal(ys[row, ~valid], jnp.zeros_like(ys[row, ~valid]))
        assert_close(grads[1][row : row + 1, valid], want[1])


def test_mask_of_the_first_steps_equals_lengths(case):
    inputs = random_inputs(case.cell)
    mask = Mask(np.arange(T) < inputs.lengths[:, None])
    got = jit_bidirectional(case.cell, *inputs[:2], mask, initial_carry=inputs.carry)
    want = jit_bidirectional(case.cell, *inputs[:3], initial_carry=inputs.carry)
    assert_equal(got, want)


@pytest.mark.parametrize("visits", [Mask(VALID), Segments(np.where(VALID, 3, 0))])
def test_what_stands_in_a_gap_is_irrelevant(visits):
    inputs = random_inputs(LSTM)
    gap = ~VALID[..., None]
    want = outputs_and_grads(LSTM, inputs.params, inputs.xs, visits, inputs.carry)
    for filling in (1e6, np.nan):
        xs = jnp.where(gap, jnp.float32(filling), inputs.xs)
        got = outputs_and_grads(LSTM, inputs.params, xs, visits, inputs.carry)
        assert_equal(got, want)


def test_segments_equal_the_runs_apart(case):
    inputs = random_inputs(case.cell)
    carry, ys = jit_bidirectional(
        case.cell, inputs.params, inputs.xs, Segments(SEGMENTS), initial_carry=inputs.carry
    )
    last = {}
    for row, steps in RUNS:
        want_carry, want_ys = bidirectional(
            case.cell,
            inputs.params,
            inputs.xs[row : row + 1, steps],
            initial_carry=_row(inputs.carry, row),
        )
        assert_close(ys[row : row + 1, steps], want_ys)
        first = last.setdefault(row, want_carry)
        last[row] = Bi(fwd=want_carry.fwd, bwd=first.bwd)
    for row, want in last.items():
        assert_close(_row(carry, row), want)
    assert_equal(ys[SEGMENTS == 0], jnp.zeros_like(ys[SEGMENTS == 0]))


@pytest.mark.parametrize("batch_size", [0, 2])
@pytest.mark.parametrize("visits", [Mask, Segments])
def test_no_steps_keep_the_initial_carry(visits, batch_size):
    inputs = random_inputs(LSTM, batch_size=batch_size)
    nothing = np.zeros([batch_size, 0], bool if visits is Mask else np.int32)
    carry, ys = bidirectional(
        LSTM, inputs.params, inputs.xs[:, :0], visits(nothing), initial_carry=inputs.carry
    )
    assert_equal(carry, inputs.carry)
    assert ys.shape[:2] == (batch_size, 0)


def test_segments_of_a_cell_scanned_in_parallel_equal_the_steps():
    inputs = random_inputs(MINGRU)
    got, want = (
        jit_bidirectional(cell, *inputs[:2], Segments(SEGMENTS), initial_carry=inputs.carry)
        for cell in (parallel(MINGRU), MINGRU)
    )
    assert_close(got, want)


def test_segments_do_not_see_each_other():
    inputs = random_inputs(LSTM)

    def ys(xs):
        return bidirectional(LSTM, inputs.params, xs, Segments(SEGMENTS))[1]

    seen = jnp.abs(jax.jacobian(lambda xs: ys(xs).sum(axis=2))(inputs.xs)).sum(axis=(4,))
    for row, ids in enumerate(SEGMENTS):
        number = np.cumsum(np.diff(ids, prepend=0) != 0) * (ids != 0)
        number[(row == 1) & (ids == 3)] = 1  # a gap does not end a segment
        together = (number[:, None] == number) & (number != 0)
        np.testing.assert_array_equal(np.asarray(seen[row, :, row]) > 0, together)


def test_initial_carry_gets_gradient_from_every_segment():
    inputs = random_inputs(LSTM)

    def loss(carry, ids):
        _, ys = bidirectional(
            LSTM, inputs.params, inputs.xs[:1], Segments(ids), initial_carry=carry
        )
        return weigh(ys[:, -1:])

    carry = _row(inputs.carry, 0)
    one = jax.grad(loss)(carry, np.array([[1, 1, 1, 1, 1]]))
    two = jax.grad(loss)(carry, np.array([[1, 1, 1, 1, 2]]))
    alone = jax.grad(loss)(carry, np.array([[0, 0, 0, 0, 2]]))
    assert_close(two, alone)
    assert abs(float(one.fwd.h.sum() - two.fwd.h.sum())) > 1e-3


def test_readouts_read_the_visited_steps():
    ys = random_xs(3)
    params = init_attention_pool(jax.random.key(0), input_size=D, attention_size=4)
    for row, valid in enumerate(VALID[:2]):
        cut = ys[row : row + 1, valid]
        assert_close(mean_pool(ys, Mask(VALID))[row : row + 1], mean_pool(cut))
        assert_close(max_pool(ys, Mask(VALID))[row : row + 1], max_pool(cut))
        pooled, weights = attention_pool(params, ys, Mask(VALID))
        want, want_weights = attention_pool(params, cut)
        assert_close(pooled[row : row + 1], want)
        assert_close(weights[row : row + 1, valid], want_weights)


def _with_visits(cell, inputs, lengths):
    """The loss sees the final states only: weights of outputs would depend on where they stand."""
    return outputs_and_grads(
        cell, inputs.params, inputs.xs, lengths, inputs.carry, weight_of_ys=0.0
    )
