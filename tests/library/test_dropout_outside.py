"""Dropout outside the step: locked, of words and of weights."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import (
    GRU,
    LSTM,
    Cell,
    Layer,
    drop_connect,
    dropout,
    init_stack,
    locked_dropout,
    stack,
    word_dropout,
)
from birnn_jax.stacks import LayerParams
from tests.library._cases import (
    B,
    T,
    assert_equal,
    random_cell,
    random_xs,
)
from tests.library._noise import keys_of_rows, recover_mask

RATE = 0.4


def test_locked_dropout_is_constant_in_time_and_scaled():
    xs = random_xs(0, 2, T, 400)
    mask = recover_mask(locked_dropout(xs, RATE, jax.random.key(0)), xs)
    assert np.isin(mask.round(4), np.float32([0, round(1 / (1 - RATE), 4)])).all()
    np.testing.assert_array_equal(mask == 0, np.broadcast_to(mask[:, :1] == 0, mask.shape))
    assert (mask[0, 0] != mask[1, 0]).any()
    assert abs((mask == 0).mean() - RATE) < 0.09


def test_a_stack_locks_the_mask_between_its_layers():
    """The layer above copies what it gets."""
    copy = Cell(
        lambda key, input_size, hidden_size: {},
        lambda params: jnp.zeros([]),
        lambda params, carry, x: (carry, x),
    )
    xs = random_xs(0, B, T, 200)
    layers = (Layer(copy, direction="fwd"),) * 2
    run = functools.partial(stack, layers, (LayerParams({}),) * 2, xs, locked_dropout=RATE)
    mask = recover_mask(run(key=jax.random.key(0))[1], xs)
    np.testing.assert_array_equal(mask == 0, np.broadcast_to(mask[:, :1] == 0, mask.shape))
    assert abs((mask == 0).mean() - RATE) < 0.09
    assert_equal(run()[1], xs)
    with pytest.raises(ValueError, match="locked_dropout must be"):
        stack(layers, (LayerParams({}),) * 2, xs, locked_dropout=1.0)


W_H = {"gate": LSTM.init(jax.random.key(1), 2, 9)}
DROPS = {
    "dropout": lambda rate, key: dropout(random_xs(0, B, T, 7), rate, key),
    "bfloat16": lambda rate, key: dropout(random_xs(0, B, T, 7).astype(jnp.bfloat16), rate, key),
    "locked": lambda rate, key: locked_dropout(random_xs(0, B, T, 7), rate, key),
    "words": lambda rate, key: word_dropout(jnp.full([B, T], 7), rate, key, unknown_id=1),
    "drop_connect": lambda rate, key: drop_connect(W_H, rate, key),
}


@pytest.mark.parametrize("drop", DROPS.values(), ids=DROPS.keys())
def test_a_traced_rate_is_that_rate(drop):
    traced, key = jax.jit(drop), jax.random.key(0)
    for rate in (0.0, RATE):
        got, want = traced(rate, key), drop(rate, key)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2), got, want)
        dtypes = [[leaf.dtype for leaf in jax.tree.leaves(tree)] for tree in (got, want)]
        assert dtypes[0] == dtypes[1]
    assert_equal(drop(0.0, key), drop(RATE, None))


@pytest.mark.parametrize(
    "drop",
    [
        lambda xs, key: locked_dropout(xs, RATE, key),
        lambda xs, key: word_dropout(xs[..., 0].astype(int) + 9, RATE, key, unknown_id=1)[
            ..., None
        ],
    ],
    ids=["locked", "word"],
)
def test_masks_outside_the_step_do_not_depend_on_padding_or_on_the_batch(drop):
    xs = random_xs(0, B, 12, 30)
    want = drop(xs, keys_of_rows())
    assert_equal(drop(xs[1:2, :5], keys_of_rows()[1:2]), want[1:2, :5])
    rows = jax.vmap(functools.partial(jax.random.fold_in, jax.random.key(3)))(jnp.arange(B))
    assert_equal(drop(xs, jax.random.key(3)), drop(xs, rows))


def test_word_dropout_replaces_at_its_rate_step_by_step():
    tokens = jnp.arange(2000).reshape(2, 1000) + 5
    dropped = word_dropout(tokens, RATE, jax.random.key(0), unknown_id=1)
    unknown = dropped == 1
    np.testing.assert_array_equal(jnp.where(unknown, tokens, dropped), tokens)
    assert abs(unknown.mean() - RATE) < 0.05 and dropped.dtype == tokens.dtype
    assert 0.4 < (unknown[0] != unknown[1]).mean() < 0.56


def test_word_dropout_takes_a_rate_for_each_token():
    rates = jnp.stack([jnp.linspace(0, 1, 4000), jnp.full(4000, RATE)])
    tokens = jnp.full([2, 4000], 7)
    unknown = word_dropout(tokens, rates, jax.random.key(0), unknown_id=1) == 1
    np.testing.assert_allclose(
        unknown[0].reshape(4, -1).mean(axis=1), np.arange(1, 8, 2) / 8, atol=0.06
    )
    assert_equal(unknown[1], word_dropout(tokens, RATE, jax.random.key(0), unknown_id=1)[1] == 1)


@pytest.mark.parametrize("drop", [locked_dropout, functools.partial(word_dropout, unknown_id=1)])
def test_without_a_key_or_a_rate_nothing_is_dropped(drop):
    xs = jnp.arange(6).reshape(1, 6) if drop is not locked_dropout else random_xs()
    assert drop(xs, RATE, None) is xs
    assert drop(xs, 0.0, jax.random.key(0)) is xs


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: locked_dropout(random_xs()[0], 0.1, None), r"xs must be \[B, T, D\]"),
        (lambda: locked_dropout(random_xs(), 1.0, None), "dropout rate must be"),
        (lambda: word_dropout(jnp.arange(2), 0.1, None, unknown_id=0), r"tokens must be \[B, T\]"),
        (
            lambda: word_dropout(jnp.arange(4).reshape(2, 2), -1, None, unknown_id=0),
            "word dropout rate must be",
        ),
        (
            lambda: word_dropout(
                jnp.arange(6).reshape(2, 3), jnp.array([[0.1], [0.4]]), None, unknown_id=0
            ),
            r"word dropout rate must be a number or \[B, T\] = \(2, 3\), got shape \(2, 1\)",
        ),
        (lambda: drop_connect({"w": jnp.arange(2.0)}, 0.1, None), "no recurrent weights"),
        (lambda: drop_connect(random_cell(LSTM, 0)[0], 1, None), "drop_connect rate must be"),
    ],
)
def test_bad_arguments_are_refused_with_or_without_a_key(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def _blank(path, leaf):
    return jnp.zeros_like(leaf) if path[-1].name == "w_h" else leaf


def test_drop_connect_masks_recurrent_weights_of_each_direction_and_layer_alone():
    layers = (Layer(LSTM), Layer(GRU, direction="fwd"))
    params = init_stack(layers, jax.random.key(0), input_size=40, hidden_size=20)
    dropped = drop_connect(params, RATE, jax.random.key(1))
    masks = [
        recover_mask(after.w_h, before.w_h)
        for after, before in [
            (dropped[0].rnn.fwd, params[0].rnn.fwd),
            (dropped[0].rnn.bwd, params[0].rnn.bwd),
            (dropped[1].rnn, params[1].rnn),
        ]
    ]
    for mask in masks:
        assert np.isclose(mask, 0).mean() == pytest.approx(RATE, abs=0.05)
        assert np.isclose(mask[mask != 0], 1 / (1 - RATE)).all()
    assert 0.3 < ((masks[0] == 0) != (masks[1] == 0)).mean() < 0.66  # 0.48 if drawn apart
    rest_of = functools.partial(jax.tree.map_with_path, _blank)
    assert_equal(rest_of(dropped), rest_of(params))


def test_drop_connect_without_a_key_is_the_identity_and_with_one_is_repeatable():
    params, _ = random_cell(LSTM, 1)
    assert drop_connect(params, RATE, None) is params
    one, same = (drop_connect(params, RATE, jax.random.key(2)) for _ in range(2))
    assert_equal(one, same)
