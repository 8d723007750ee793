"""Truncated back-propagation through time: gradients stop where they are told to."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from birnn_jax import (
    ELMAN,
    LSTM,
    Bi,
    Layer,
    Total,
    init_train_state,
    make_train_step,
    stack,
    streaming,
)
from birnn_jax.stacks import LayerParams
from tests.library import _oracles
from tests.library._cases import (
    LENGTHS,
    B,
    D,
    T,
    assert_close,
    random_cell,
    random_like,
    random_xs,
    weigh,
)
from tests.library._streams import random_stack

ONE = (Layer(LSTM, direction="fwd"),)
STARTS = np.array([[True, True, True], [False, True, False], [False, False, True]])  # [chunks, B]


def truncated_loss(params, xs, carry, size, starts):
    initial, total = streaming.initial_carry(ONE, params, B), 0.0
    for number, start in enumerate(range(0, xs.shape[1], size)):
        carry = streaming.carry_over(carry, initial, starts[number])
        carry, ys = stack(ONE, params, xs[:, start : start + size], initial_carry=carry)
        total += weigh(ys)
    return total


def oracle_chunk(params, xs, carry):
    """The loss of one chunk in NumPy, and the carry after it."""
    carry, ys = _oracles.scan(_oracles.lstm_step, params, xs, [xs.shape[1]] * B, carry)
    weights = np.sin(1.0 + np.arange(ys[0].size)).reshape(ys[0].shape)
    return (ys * weights).sum(), carry


def test_gradient_of_chunks_is_that_of_losses_with_the_carries_held_fixed(x64):
    """Against differences of a loop whose carries at the borders are numbers, not functions."""
    params, carry = random_cell(LSTM, 1, dtype="float64")
    xs, size, scale = random_xs(0, B, 6, D, dtype="float64"), 2, 1e-6
    got = jax.jit(jax.grad(truncated_loss), static_argnums=3)(
        (LayerParams(params),), xs, (carry,), size, STARTS
    )
    zeros = jax.tree.map(np.zeros_like, carry)
    borders = []
    for number, starts in enumerate(STARTS):
        begin = jax.tree.map(lambda z, c, s=starts: np.where(s[:, None], z, c), zeros, carry)
        piece = xs[:, number * size : (number + 1) * size]
        borders.append((piece, begin))
        carry = oracle_chunk(params, piece, begin)[1]
    for seed in range(4):
        direction = random_like(params, seed, "float64")

        def loss(sign, direction=direction):
            moved = jax.tree.map(lambda p, d: p + sign * scale * d, params, direction)
            return sum(oracle_chunk(moved, *border)[0] for border in borders)

        want = (loss(1) - loss(-1)) / (2 * scale)
        assert float(optax.tree.vdot(got[0].rnn, direction)) == pytest.approx(want, rel=1e-7)


def test_one_chunk_is_full_back_propagation(x64):
    params, carry = random_cell(LSTM, 1, dtype="float64")
    params = LayerParams(params)
    xs, starts = random_xs(dtype="float64"), np.zeros([T, B], bool)
    grad = jax.jit(jax.grad(truncated_loss), static_argnums=3)
    full = jax.grad(lambda p: weigh(stack(ONE, (p,), xs, initial_carry=(carry,))[1]))(params)
    assert_close(grad((params,), xs, (carry,), T, starts), (full,), "float64")
    shorter = grad((params,), xs, (carry,), 2, starts)
    assert not np.allclose(shorter[0].rnn.w_h, full.rnn.w_h, rtol=1e-2)


def test_train_step_carries_states_from_batch_to_batch_and_resets_rows():
    params, _ = random_cell(LSTM, 1)
    layers_params = (LayerParams(params),)

    def loss_fn(params, batch, key):
        initial = streaming.initial_carry(ONE, params, B)
        carry = streaming.carry_over(batch["carry"], initial, batch["starts"])
        carry, ys = stack(ONE, params, batch["xs"], batch["lengths"], initial_carry=carry)
        return {"loss": Total(jnp.square(ys).sum(), jnp.array(1.0)), "carry": carry}

    still = optax.sgd(0.0)
    step = make_train_step(loss_fn, still)
    state = init_train_state(jax.tree.map(jnp.copy, layers_params), still)
    batches = random_xs(7, 3, B, T, D)
    carry = streaming.initial_carry(ONE, layers_params, B)
    for xs, starts in zip(batches, STARTS, strict=True):
        before = jax.tree.map(lambda leaf, s=starts: np.where(s[:, None], 0, leaf), carry)
        batch = {"xs": xs, "lengths": LENGTHS, "starts": starts, "carry": carry}
        state, metrics = step(state, batch, jax.random.key(0))
        carry = metrics["carry"]
        want, _ = _oracles.scan(_oracles.lstm_step, params, xs, LENGTHS, before[0])
        assert_close(carry, (want,))


def test_learned_initial_carry_has_its_gradient_from_rows_that_start():
    carry = random_like(streaming.initial_carry(ONE, random_stack(ONE, "float32"), B), 4)
    starts = np.array([True, False, True])
    grad = jax.grad(
        lambda last, initial: weigh(streaming.carry_over(last, initial, starts)), (0, 1)
    )
    by_last, by_initial = grad(carry, carry)
    assert not any(leaf.any() for leaf in jax.tree.leaves(by_last))
    assert all(((leaf != 0).any(axis=1) == starts).all() for leaf in jax.tree.leaves(by_initial))


def test_backward_states_and_starts_of_the_wrong_kind_are_refused():
    _, carry = random_cell(ELMAN, 1)
    both = (Bi(carry, carry),)
    with pytest.raises(ValueError, match="begins at the end of each chunk"):
        streaming.carry_over(both, both, np.ones(B, bool))
    with pytest.raises(TypeError, match="starts must be bool, got int"):
        streaming.carry_over(carry, carry, np.ones(B, int))
    with pytest.raises(ValueError, match=r"\[B\] with B = 3 as in carry, got \(2,\)"):
        streaming.carry_over(carry, carry, np.ones(2, bool))
