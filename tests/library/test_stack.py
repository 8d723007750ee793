"""Layers on top of one another: against loops, with dropout, and in the layout of torch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import ELMAN, GRU, LSTM, Bi, Cell, Layer, dropout, init_stack, stack
from birnn_jax.cells import LSTMCarry
from birnn_jax.stacks import LayerParams, stack_states, unstack_states
from tests.library import _oracles
from tests.library._cases import (
    CLOCKED,
    LENGTHS,
    PADDING,
    B,
    D,
    H,
    T,
    assert_close,
    assert_equal,
    random_like,
    random_xs,
)

LAYERS = (
    Layer(LSTM, merge="mean"),
    Layer(GRU, direction="bwd"),
    Layer(CLOCKED, direction="fwd"),
    Layer(Bi(ELMAN, LSTM)),
)
SIZES = (H, 6, 4, Bi(8, 9))
STEPS = [
    ("both", (_oracles.lstm_step, _oracles.lstm_step), "mean"),
    ("bwd", _oracles.gru_step, None),
    ("fwd", _oracles.clocked_step, None),
    ("both", (_oracles.elman_step, _oracles.lstm_step), "concat"),
]

# A cell that hands its input on, so that nothing but dropout changes it.
PASS_ON = Cell(
    init=lambda key, input_size, hidden_size: None,
    init_carry=lambda params: jnp.zeros([]),
    step=lambda params, carry, x: (carry, x),
)

NOTHING = (LayerParams(None),) * 3

run = jax.jit(stack, static_argnames=("layers", "dropout"))
drop = jax.jit(dropout, static_argnames="rate")


def _random_stack(layers, hidden_size):
    """Random parameters, and random carries for every layer."""
    init = functools.partial(init_stack, layers, input_size=D, hidden_size=hidden_size)
    params = random_like(jax.eval_shape(lambda: init(jax.random.key(0))), 1)
    carries, _ = jax.eval_shape(functools.partial(stack, layers), params, random_xs())
    return params, random_like(carries, 2)


def test_stack_matches_loop_on_ragged_batch():
    params, carries = _random_stack(LAYERS, SIZES)
    got, ys = run(LAYERS, params, random_xs(), LENGTHS, initial_carry=carries)
    want, ys_want = _oracles.stack(STEPS, params, random_xs(), LENGTHS, carries)
    assert_close(ys, ys_want)
    assert_close(jax.tree.leaves(got), jax.tree.leaves(want))


def test_stack_without_carries_starts_every_layer_at_its_own():
    params, carries = _random_stack(LAYERS, SIZES)
    zeros = jax.tree.map(jnp.zeros_like, carries)
    got = run(LAYERS, params, random_xs(), LENGTHS)
    assert_close(got, run(LAYERS, params, random_xs(), LENGTHS, initial_carry=zeros))


def test_carry_may_be_given_to_one_layer_only():
    params, carries = _random_stack(LAYERS, SIZES)
    zeros = jax.tree.map(jnp.zeros_like, carries)
    got = run(LAYERS, params, random_xs(), LENGTHS, initial_carry=(None, carries[1], None, None))
    filled = (zeros[0], carries[1], *zeros[2:])
    assert_close(got, run(LAYERS, params, random_xs(), LENGTHS, initial_carry=filled))


def test_one_size_serves_all_layers():
    layers = (Layer(GRU),) * 3
    init = functools.partial(init_stack, layers, input_size=D, hidden_size=H)
    params = jax.eval_shape(lambda: init(jax.random.key(0)))
    assert [layer.rnn.bwd.w_x.shape[0] for layer in params] == [D, 2 * H, 2 * H]
    assert {layer.rnn.fwd.w_h.shape for layer in params} == {(H, 3 * H)}


def test_layers_start_from_different_parameters():
    layers = (Layer(ELMAN, direction="fwd"),) * 2
    bottom, top = init_stack(layers, jax.random.key(0), input_size=H, hidden_size=H)
    assert (bottom.rnn.w_x != top.rnn.w_x).all() and (bottom.rnn.w_h != top.rnn.w_h).all()


# The layout of torch.


def test_states_are_stacked_layer_by_layer_and_forward_first():
    layers = (Layer(LSTM), Layer(LSTM))
    _, carries = _random_stack(layers, H)
    states = stack_states(carries)
    order = [carries[0].fwd, carries[0].bwd, carries[1].fwd, carries[1].bwd]
    assert_equal(states, LSTMCarry(*(jnp.stack(leaves) for leaves in zip(*order, strict=True))))


@pytest.mark.parametrize(
    "layers",
    [(Layer(LSTM),) * 2, (Layer(LSTM, direction="fwd"), Layer(LSTM), Layer(LSTM, direction="bwd"))],
    ids=["both", "mixed"],
)
def test_states_are_unstacked_for_the_layers_they_came_from(layers):
    _, carries = _random_stack(layers, H)
    assert_equal(unstack_states(layers, stack_states(carries)), carries)


# Dropout.


def _keys(*seeds):
    return jnp.stack([jax.random.key(seed) for seed in seeds])


def test_dropout_zeroes_at_its_rate_and_keeps_the_mean():
    xs = random_xs(0, 8, 50, 100)
    kept = drop(xs, 0.3, jax.random.key(0)) != 0
    np.testing.assert_allclose(kept.mean(), 0.7, atol=4 * (0.3 * 0.7 / xs.size) ** 0.5)
    assert_close(drop(xs, 0.3, jax.random.key(0)), jnp.where(kept, xs / 0.7, 0))
    by_feature = 4 * (0.3 * 0.7 / 400) ** 0.5
    np.testing.assert_allclose(kept.mean(axis=(0, 1)), 0.7, atol=by_feature)


def test_dropout_mask_of_a_row_depends_on_its_key_only():
    xs, order = random_xs(), np.array([2, 0, 1])
    dropped = drop(xs, 0.5, _keys(5, 6, 7))
    assert_equal(drop(xs[order], 0.5, _keys(7, 5, 6)), dropped[order])
    assert_equal(drop(xs[1:2], 0.5, _keys(6)), dropped[1:2])


def test_dropout_mask_of_a_step_does_not_depend_on_padding():
    xs = random_xs(0, B, T + 3, D)
    longer, shorter = (drop(x, 0.5, jax.random.key(0)) for x in (xs, xs[:, :T]))
    assert_equal(longer[:, :T], shorter)


def test_dropout_with_one_key_gives_row_b_the_key_folded_with_b():
    keys = jnp.stack([jax.random.fold_in(jax.random.key(3), b) for b in range(B)])
    assert_equal(drop(random_xs(), 0.5, jax.random.key(3)), drop(random_xs(), 0.5, keys))


def test_dropout_differs_between_rows_and_between_steps():
    kept = np.array(drop(random_xs(0, B, T, 64), 0.5, jax.random.key(0)) != 0)
    assert len(np.unique(kept.reshape(B * T, 64), axis=0)) == B * T


@pytest.mark.parametrize(("rate", "key"), [(0.0, _keys(1)[0]), (0.5, None)], ids=["rate", "key"])
def test_dropout_is_off_without_a_rate_or_without_a_key(rate, key):
    assert_equal(drop(random_xs(), rate, key), random_xs())


def test_dropout_keeps_the_dtype():
    assert drop(random_xs(dtype="bfloat16"), 0.5, jax.random.key(0)).dtype == jnp.bfloat16


def test_stack_drops_between_layers_only():
    layers = (Layer(PASS_ON, direction="fwd"),) * 2
    xs = random_xs(0, B, T, 500)
    _, one_layer = stack(layers[:1], NOTHING[:1], xs, dropout=0.5, key=jax.random.key(0))
    _, two_layers = stack(layers, NOTHING[:2], xs, dropout=0.5, key=jax.random.key(0))
    assert_equal(one_layer, xs)
    np.testing.assert_allclose((two_layers != 0).mean(), 0.5, atol=0.03)


def test_stack_draws_a_mask_of_its_own_for_every_layer():
    layers = (Layer(PASS_ON, direction="fwd"),) * 3
    xs = random_xs(0, B, T, 500)
    _, ys = stack(layers, NOTHING, xs, dropout=0.5, key=jax.random.key(0))
    np.testing.assert_allclose((ys != 0).mean(), 0.25, atol=0.03)


def test_stack_is_deterministic_without_a_key():
    params, _ = _random_stack(LAYERS, SIZES)
    got = run(LAYERS, params, random_xs(), LENGTHS, dropout=0.5)
    assert_equal(got, run(LAYERS, params, random_xs(), LENGTHS))


def test_stack_with_dropout_treats_every_row_as_if_alone():
    layers = (Layer(ELMAN),) * 3
    params, _ = _random_stack(layers, H)
    run_dropped = functools.partial(run, layers, params, dropout=0.5)
    carries, ys = run_dropped(random_xs(), LENGTHS, key=_keys(5, 6, 7))
    alone, ys_alone = run_dropped(random_xs()[1:2, : LENGTHS[1]], key=_keys(6))
    assert_close(ys_alone, ys[1:2, : LENGTHS[1]])
    assert_close(alone, jax.tree.map(lambda leaf: leaf[1:2], carries))
    assert not ys[PADDING].any()
