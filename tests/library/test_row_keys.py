"""Keys of rows and what is drawn with them: the bits of `jax.random`, without its programs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import (
    LSTM,
    Layer,
    Total,
    dropout,
    init_tagger,
    init_train_state,
    locked_dropout,
    make_optimizer,
    make_train_step,
    tagger,
    word_dropout,
)
from birnn_jax.data import row_keys, split_row_keys
from birnn_jax.kernels import keys as drawing

KEYS = jax.random.split(jax.random.key(3), 5)
T, D = 4, 33


def _flags(keys):
    steps = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))(keys, jnp.arange(T))
    return jax.vmap(jax.vmap(lambda key: jax.random.bernoulli(key, 0.3, (D,))))(steps)


DRAWS = {
    "split": (
        lambda keys: jax.random.key_data(jnp.stack(split_row_keys(keys, 3), axis=1)),
        lambda keys: jax.random.key_data(jax.vmap(lambda key: jax.random.split(key, 3))(keys)),
    ),
    "uniform": (
        lambda keys: drawing.uniform(keys, D),
        jax.vmap(lambda key: jax.random.uniform(key, (D,))),
    ),
    "flags": (lambda keys: drawing.flags_by_step(keys, 0.3, T, D), _flags),
    "flags of an array": (
        lambda keys: drawing.flags_by_step(keys, jnp.array(0.3), T, D),
        _flags,
    ),
    "rows": (
        lambda keys: jax.random.key_data(row_keys(keys[0], jnp.array([7, 0, -1]))),
        lambda keys: jax.random.key_data(
            jnp.stack([jax.random.fold_in(keys[0], jnp.int32(row)) for row in (7, 0, -1)])
        ),
    ),
}


@pytest.mark.parametrize("draw, want", DRAWS.values(), ids=DRAWS.keys())
@pytest.mark.parametrize("x64", [False, True], ids=["", "x64"])
@pytest.mark.parametrize("partitionable", [True, False], ids=["", "unpartitionable"])
def test_what_is_drawn_are_the_bits_of_jax(draw, want, x64, partitionable):
    with (
        jax.enable_x64(x64),
        jax.threefry_partitionable(partitionable),
        jax.debug_key_reuse(False),
    ):
        np.testing.assert_array_equal(draw(KEYS), want(KEYS))


def test_a_key_of_any_kind_draws_what_jax_draws_with_it():
    key = jax.random.key(3, impl="rbg")
    got = drawing.fold_in_numbers(key, jnp.int32(5))
    assert (jax.random.key_data(got) == jax.random.key_data(jax.random.fold_in(key, 5))).all()


def test_a_training_step_with_dropout_has_no_loop_of_the_generator():
    """XLA takes a quarter of a second to compile each; native code draws."""
    layers, rate = (Layer(LSTM),) * 2, 0.4
    params = init_tagger(layers, jax.random.key(0), input_size=3, hidden_size=5, num_classes=4)
    optimizer = make_optimizer(0.1)

    def loss_fn(params, batch, key):
        xs, tokens, rows = batch
        of_features, of_words, of_inputs, of_rows = split_row_keys(row_keys(key, rows), 4)
        xs = dropout(locked_dropout(xs, rate, of_features), rate, of_inputs)
        tokens = word_dropout(tokens, rate, of_words, unknown_id=0)
        logits = tagger(layers, params, xs, dropout=rate, key=of_rows)
        return {"loss": Total(logits.sum() + tokens.sum(), jnp.float32(logits.size))}

    batch = (
        jax.random.normal(jax.random.key(2), [2, T, 3]),
        jnp.arange(2 * T).reshape(2, T),
        jnp.arange(2),
    )
    step, state = make_train_step(loss_fn, optimizer), init_train_state(params, optimizer)
    text = step.lower(state, batch, jax.random.key(1)).as_text()
    assert "birnn_draw" in text and "threefry" not in text.replace("threefry2x32>", "")
