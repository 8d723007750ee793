"""What a type checker knows about training: read by `_typing.py`, never run."""

from typing import reveal_type

import jax

from birnn_jax import (
    LSTM,
    Layer,
    Mask,
    Total,
    bidirectional,
    cross_entropy,
    init_bidirectional,
    init_tagger,
    init_train_state,
    make_eval_step,
    make_optimizer,
    make_train_step,
    tagger,
)
from birnn_jax.checkpoint import Checkpoints
from birnn_jax.models import TaggerParams

key = jax.random.key(0)
xs = jax.random.normal(key, [3, 5, 2])
layers = (Layer(LSTM),)
optimizer = make_optimizer(1e-3)


def loss_fn(params: TaggerParams, batch: jax.Array, key: jax.Array | None) -> dict[str, Total]:
    """A loss of the right kind."""
    return {"loss": cross_entropy(tagger(layers, params, batch, key=key), batch[..., 0])}


def states_and_steps() -> None:
    """The parameters in the state are those that were given."""
    params = init_tagger(layers, key, input_size=2, hidden_size=7, num_classes=4)
    state = init_train_state(params, optimizer)
    reveal_type(state)  # reveals TrainState[TaggerParams]
    train_step = make_train_step(loss_fn, optimizer)
    state, metrics = train_step(state, xs, key)
    reveal_type(state.params.w)  # reveals Array
    state.params.weights  # refused
    make_eval_step(loss_fn)(state.params, xs)
    make_eval_step(loss_fn)(state, xs)  # refused
    train_step(params, xs, key)  # refused
    train_step(state, key)  # refused
    other = init_train_state(init_bidirectional(LSTM, key, 2, 7), optimizer)
    train_step(other, xs, key)  # refused
    restored = Checkpoints("runs").restore_latest(state)
    restored.state  # refused
    if restored is not None:
        reveal_type(restored.state.params)  # reveals TaggerParams


def losses_of_the_wrong_kind() -> None:
    """What other libraries take as a loss."""

    def number(params: TaggerParams, batch: jax.Array, key: jax.Array | None) -> jax.Array:
        return cross_entropy(tagger(layers, params, batch), batch[..., 0]).mean

    def without_key(params: TaggerParams, batch: jax.Array) -> dict[str, Total]:
        return {}

    def total(params: TaggerParams, batch: jax.Array, key: jax.Array | None) -> Total:
        return cross_entropy(tagger(layers, params, batch), batch[..., 0])

    make_train_step(number, optimizer)  # refused
    make_train_step(without_key, optimizer)  # refused
    make_train_step(total, optimizer)  # refused
    make_train_step(loss_fn)  # refused
    make_train_step(loss_fn, 1e-3)  # refused
    make_eval_step(number)  # refused
    make_train_step(lambda params, batch, key: {"loss": Total(batch.sum(), batch.sum())}, optimizer)
    make_train_step(lambda params, batch, key: {"loss": params["w"].sum()}, optimizer)
    make_train_step(lambda params, batch: {}, optimizer)  # refused


def lengths_and_masks() -> None:
    """What may stand for the lengths."""
    params = init_bidirectional(LSTM, key, 2, 7)
    bidirectional(LSTM, params, xs, key)
    bidirectional(LSTM, params, xs, Mask(xs[..., 0] > 0))
    bidirectional(LSTM, params, xs, "5")  # refused
    cross_entropy(xs, key, "mean")  # refused
