"""Two directions: against loops, by symmetry, by what each half can see, and by its gradients."""

import functools

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, bidirectional, init_bidirectional
from tests.library import _oracles
from tests.library._cases import (
    CASES,
    CLOCKED,
    LENGTHS,
    PADDING,
    B,
    D,
    H,
    Inputs,
    T,
    assert_close,
    assert_equal,
    jit_bidirectional,
    outputs_and_grads,
    random_cell,
    random_inputs,
    random_xs,
    weigh,
)

pytestmark = pytest.mark.usefixtures("strict_dtypes")


def _want(case, inputs):
    """Carries, and the outputs of both directions, from the loops."""
    carry, ys = _oracles.bidirectional((case.oracle, case.oracle), *inputs)
    return Bi(*carry), Bi(*ys)


def _rows(tree, rows):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], tree)


def _without_params(results):
    """Outputs, and gradients by inputs and carries."""
    return [(outputs, by_rows) for outputs, (_, *by_rows) in results]


def _swap(pair):
    return Bi(fwd=pair.bwd, bwd=pair.fwd)


def _reversed_rows(array, lengths):
    """Every row with its valid steps in the other order, its padding where it was."""
    rows = [np.concatenate([row[:n][::-1], row[n:]]) for row, n in zip(array, lengths, strict=True)]
    return np.stack(rows)


def test_bidirectional_matches_loop_on_ragged_batch(case, jit_or_eager):
    inputs = random_inputs(case.cell)
    run = jit_or_eager(bidirectional, static_argnames=("cell", "merge"))
    got = run(case.cell, inputs.params, inputs.xs, inputs.lengths, initial_carry=inputs.carry)
    carry, ys = _want(case, inputs)
    assert_close(got, (carry, np.concatenate(ys, axis=-1)))


@pytest.mark.parametrize("merge", _oracles.MERGES)
def test_merge_matches_loop(merge):
    inputs = random_inputs(LSTM)
    _, ys = jit_bidirectional(LSTM, *inputs[:3], initial_carry=inputs.carry, merge=merge)
    assert_close(ys, _oracles.MERGES[merge](*_want(CASES["lstm"], inputs)[1]))


def test_merge_none_gives_both_outputs():
    inputs = random_inputs(LSTM)
    _, ys = jit_bidirectional(LSTM, *inputs[:3], initial_carry=inputs.carry, merge="none")
    assert_close(ys, _want(CASES["lstm"], inputs)[1])


def test_directions_may_differ_in_cell_and_size():
    (params_fwd, carry_fwd), (params_bwd, carry_bwd) = (
        random_cell(LSTM, 1),
        random_cell(GRU, 3, hidden_size=H + 2),
    )
    params, carry = Bi(params_fwd, params_bwd), Bi(carry_fwd, carry_bwd)
    got = jit_bidirectional(Bi(LSTM, GRU), params, random_xs(), LENGTHS, initial_carry=carry)
    steps = (_oracles.lstm_step, _oracles.gru_step)
    want, ys = _oracles.bidirectional(steps, params, random_xs(), LENGTHS, carry)
    assert_close(got, (Bi(*want), np.concatenate(ys, axis=-1)))


@pytest.mark.parametrize("given", ["fwd", "bwd"])
def test_initial_carry_of_one_direction_leaves_the_other_at_its_own(given):
    inputs = random_inputs(LSTM)
    zeros = jax.tree.map(jnp.zeros_like, inputs.carry)
    carry = Bi(None, None)._replace(**{given: getattr(inputs.carry, given)})
    filled = zeros._replace(**{given: getattr(inputs.carry, given)})
    got = jit_bidirectional(LSTM, *inputs[:3], initial_carry=carry)
    assert_close(got, jit_bidirectional(LSTM, *inputs[:3], initial_carry=filled))


@pytest.mark.parametrize("residuals", ["gates", "chunked"])
@pytest.mark.parametrize(("batch_size", "num_steps"), [(B, 0), (0, T)])
def test_nothing_in_gives_nothing_out(batch_size, num_steps, residuals):
    inputs = random_inputs(LSTM, batch_size=batch_size)
    xs, lengths = jnp.zeros([batch_size, num_steps, D]), np.zeros(batch_size, np.int32)
    options = {"initial_carry": inputs.carry, "residuals": residuals}
    carry, ys = bidirectional(LSTM, inputs.params, xs, lengths, **options)
    assert_equal(carry, inputs.carry)
    assert ys.shape == (batch_size, num_steps, 2 * H)


def test_directions_start_from_different_parameters():
    params = init_bidirectional(ELMAN, jax.random.key(0), input_size=D, hidden_size=H)
    assert (params.fwd.w_x != params.bwd.w_x).all()
    assert (params.fwd.w_h != params.bwd.w_h).all()


def test_init_takes_a_cell_and_a_size_for_each_direction():
    init = functools.partial(init_bidirectional, input_size=D, hidden_size=Bi(H, H + 2))
    params = jax.eval_shape(lambda: init(Bi(LSTM, GRU), jax.random.key(0)))
    assert (params.fwd.w_x.shape, params.bwd.w_x.shape) == ((D, 4 * H), (D, 3 * (H + 2)))


# What each output can see.


def test_each_half_sees_only_its_side(case):
    inputs = random_inputs(case.cell, batch_size=1)
    length = T - 1

    def outputs(xs):
        args = (inputs.params, xs[None], np.array([length], np.int32))
        _, ys = bidirectional(case.cell, *args, initial_carry=inputs.carry, merge="none")
        return Bi(ys.fwd[0], ys.bwd[0])

    jacobian = jax.jit(jax.jacobian(outputs))(inputs.xs[0])  # of [T, O] by [T, D]
    fwd, bwd = (np.abs(half).sum(axis=(1, 3)) > 0 for half in jacobian)
    valid = np.arange(T) < length
    np.testing.assert_array_equal(fwd, np.tril(valid[:, None] & valid))
    np.testing.assert_array_equal(bwd, np.triu(valid[:, None] & valid))


@pytest.mark.parametrize("content", [np.nan, np.inf, 1e6])
def test_padding_content_is_irrelevant(case, content):
    inputs = random_inputs(case.cell)
    polluted = jnp.where(PADDING[..., None], jnp.float32(content), inputs.xs)
    got = outputs_and_grads(case.cell, *inputs._replace(xs=polluted))
    assert_equal(got, outputs_and_grads(case.cell, *inputs))


def test_padding_receives_no_gradient(case):
    _, (_, grads_of_xs, _) = outputs_and_grads(case.cell, *random_inputs(case.cell))
    np.testing.assert_array_equal((grads_of_xs != 0).any(axis=2), ~PADDING)


@pytest.mark.parametrize("cell", [LSTM, CLOCKED], ids=["lstm", "clocked"])
@pytest.mark.parametrize("weight_of_ys", [1.0, 0.0], ids=["all", "final_states"])
def test_row_alone_equals_row_of_batch(cell, weight_of_ys):
    run = functools.partial(outputs_and_grads, cell, weight_of_ys=weight_of_ys)
    inputs = random_inputs(cell)
    outputs, (by_params, *by_rows) = run(*inputs)
    alone = [run(inputs.params, *_rows(inputs[1:], slice(b, b + 1))) for b in range(B)]
    joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *_without_params(alone))
    assert_close(joined, (outputs, by_rows))
    sums = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *[grads[0] for _, grads in alone])
    assert_close(sums, by_params)


@pytest.mark.parametrize("weight_of_ys", [1.0, 0.0], ids=["all", "final_states"])
def test_row_that_ended_early_equals_the_row_without_its_padding(weight_of_ys):
    run = functools.partial(outputs_and_grads, LSTM, weight_of_ys=weight_of_ys)
    inputs, row, end = random_inputs(LSTM), slice(1, 2), LENGTHS[1]
    alone = Inputs(inputs.params, inputs.xs[row, :end], None, _rows(inputs.carry, row))
    (carry, ys), (_, by_xs, by_carry) = run(*inputs)
    want = (_rows(carry, row), ys[row, :end]), [by_xs[row, :end], _rows(by_carry, row)]
    assert_close(_without_params([run(*alone)])[0], want)


def test_order_of_rows_is_irrelevant(case):
    inputs, order = random_inputs(case.cell), np.array([2, 0, 1])
    outputs, (by_params, *by_rows) = outputs_and_grads(case.cell, *inputs)
    shuffled = Inputs(inputs.params, *_rows(inputs[1:], order))
    got, (got_by_params, *got_by_rows) = outputs_and_grads(case.cell, *shuffled)
    assert_close((got, got_by_rows), _rows((outputs, by_rows), order))
    assert_close(got_by_params, by_params)


def test_more_padding_changes_nothing():
    inputs = random_inputs(LSTM)
    padded = jnp.concatenate([inputs.xs, random_xs(7, B, 3, D)], axis=1)
    (carry, ys), (by_params, by_xs, by_carry) = outputs_and_grads(LSTM, *inputs._replace(xs=padded))
    got = (carry, ys[:, :T]), (by_params, by_xs[:, :T], by_carry)
    assert_close(got, outputs_and_grads(LSTM, *inputs))
    assert not ys[:, T:].any() and not by_xs[:, T:].any()


def test_lengths_beyond_the_ends_count_as_the_ends(case):
    inputs = random_inputs(case.cell)
    beyond = np.array([T + 4, 2, -3], np.int32)
    got = outputs_and_grads(case.cell, *inputs._replace(lengths=beyond))
    assert_equal(got, outputs_and_grads(case.cell, *inputs))


def test_batch_of_padding_gives_back_the_initial_carry(case):
    inputs = random_inputs(case.cell)._replace(lengths=np.zeros(B, np.int32))
    (carry, ys), (by_params, by_xs, by_carry) = outputs_and_grads(case.cell, *inputs)
    assert_equal(carry, inputs.carry)
    assert_equal(by_carry, jax.grad(weigh)(inputs.carry))
    assert not any(leaf.any() for leaf in jax.tree.leaves((ys, by_params, by_xs)))


def test_reversing_time_swaps_directions(case):
    inputs = random_inputs(case.cell)
    carry, ys = jit_bidirectional(case.cell, *inputs[:3], initial_carry=inputs.carry, merge="none")
    got_carry, got_ys = jit_bidirectional(
        case.cell,
        _swap(inputs.params),
        _reversed_rows(inputs.xs, LENGTHS),
        LENGTHS,
        initial_carry=_swap(inputs.carry),
        merge="none",
    )
    assert_close(got_carry, _swap(carry))
    assert_close(got_ys, Bi(*(_reversed_rows(half, LENGTHS) for half in _swap(ys))))


def test_tied_directions_mirror_each_other(case):
    inputs = random_inputs(case.cell)
    tied = Bi(inputs.params.fwd, inputs.params.fwd)
    zeros = jax.tree.map(jnp.zeros_like, inputs.carry)
    (carry, ys), (got_carry, got_ys) = (
        jit_bidirectional(case.cell, tied, xs, LENGTHS, initial_carry=zeros, merge="none")
        for xs in (inputs.xs, _reversed_rows(inputs.xs, LENGTHS))
    )
    assert_close(got_carry, _swap(carry))
    assert_close(got_ys, Bi(*(_reversed_rows(half, LENGTHS) for half in _swap(ys))))


def test_gradients_match_finite_differences(case, x64):
    inputs = random_inputs(case.cell, dtype="float64")

    @jax.jit
    def loss(params, xs, carry):
        return weigh(bidirectional(case.cell, params, xs, LENGTHS, initial_carry=carry))

    args = (inputs.params, inputs.xs, inputs.carry)
    jax.test_util.check_grads(loss, args, order=1, modes=["rev"], eps=1e-5, atol=1e-6, rtol=1e-6)
