"""From sequences to vectors, against loops over the valid steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import LSTM, Bi, final_states, max_pool, mean_pool
from birnn_jax.models import attention_pool, init_attention_pool
from tests.library import _oracles
from tests.library._cases import (
    LENGTHS,
    PADDING,
    B,
    H,
    T,
    assert_close,
    assert_equal,
    jit_bidirectional,
    random_cell,
    random_inputs,
    random_like,
    random_xs,
    weigh,
)

PARAMS = random_like(
    jax.eval_shape(lambda: init_attention_pool(jax.random.key(0), input_size=H, attention_size=4)),
    1,
)


def _attention(ys, lengths=None):
    return attention_pool(PARAMS, ys, lengths)


def _attention_oracle(ys, lengths):
    return _oracles.attention_pool(PARAMS, ys, lengths)


POOLS = pytest.mark.parametrize(
    ("pool", "oracle"),
    [
        (mean_pool, _oracles.mean_pool),
        (max_pool, _oracles.max_pool),
        (_attention, _attention_oracle),
    ],
    ids=["mean", "max", "attention"],
)


def _values_and_grads(pool, ys, lengths):
    outputs, pull = jax.vjp(lambda ys: pool(ys, lengths), ys)
    return outputs, pull(jax.grad(weigh)(outputs))


@POOLS
def test_pool_matches_loop_on_ragged_batch(pool, oracle, jit_or_eager):
    ys = random_xs(0, B, T, H)
    assert_close(jit_or_eager(pool)(ys, LENGTHS), oracle(ys, LENGTHS))


@POOLS
def test_pool_of_negative_values_does_not_see_the_zeros_of_padding(pool, oracle):
    ys = -jnp.abs(random_xs(0, B, T, H)) - 1
    hidden = jnp.where(PADDING[..., None], 0, ys)
    assert_close(pool(hidden, LENGTHS), oracle(ys, LENGTHS))


@POOLS
def test_pool_without_lengths_takes_all_steps(pool, oracle):
    ys = random_xs(0, B, T, H)
    assert_close(pool(ys), oracle(ys, np.full(B, T)))


@POOLS
@pytest.mark.parametrize("content", [np.nan, np.inf, 1e6])
def test_padding_content_is_irrelevant(pool, oracle, content):
    ys = random_xs(0, B, T, H)
    polluted = jnp.where(PADDING[..., None], content, ys)
    got = _values_and_grads(pool, polluted, LENGTHS)
    assert_equal(got, _values_and_grads(pool, ys, LENGTHS))


@POOLS
def test_gradient_reaches_the_valid_steps_only(pool, oracle):
    _, (grads,) = _values_and_grads(pool, random_xs(0, B, T, H), LENGTHS)
    np.testing.assert_array_equal((grads != 0).any(axis=2) & PADDING, False)
    assert (grads != 0).any(axis=(1, 2)).tolist() == [True, True, False]


@POOLS
def test_lengths_beyond_the_ends_count_as_the_ends(pool, oracle):
    ys = random_xs(0, B, T, H)
    assert_close(pool(ys, np.array([T + 4, 2, -3])), oracle(ys, LENGTHS))


@POOLS
def test_pool_of_no_steps_is_zero(pool, oracle):
    ys = jnp.zeros([B, 0, H])
    leaves = jax.tree.leaves(pool(ys, np.zeros(B, np.int32)))
    assert leaves[0].shape == (B, H)
    assert not any(leaf.any() for leaf in leaves)


def test_attention_weights_add_up_to_one_over_valid_steps():
    _, weights = _attention(random_xs(0, B, T, H), LENGTHS)
    assert_close(weights.sum(axis=1), (LENGTHS > 0).astype(float))


def test_final_states_are_those_at_the_true_ends():
    inputs = random_inputs(LSTM)
    carry, ys = jit_bidirectional(LSTM, *inputs[:3], initial_carry=inputs.carry, merge="none")
    got = final_states(carry)
    for b, n in enumerate(LENGTHS[:2]):
        assert_equal(got[b], jnp.concatenate([ys.fwd[b, n - 1], ys.bwd[b, 0]]))
    assert_equal(got[2], jnp.concatenate([inputs.carry.fwd.h[2], inputs.carry.bwd.h[2]]))


def test_final_states_of_one_direction_are_its_hidden_states():
    _, carry = random_cell(LSTM, 1)
    assert_equal(final_states(carry), carry.h)


def test_final_states_of_directions_may_differ_in_size():
    (_, fwd), (_, bwd) = random_cell(LSTM, 1), random_cell(LSTM, 3, hidden_size=H + 1)
    assert_equal(final_states(Bi(fwd, bwd))[:, H:], bwd.h)
