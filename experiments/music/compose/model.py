"""A model that expects the next frame of a piano roll."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from birnn_jax import Layer, Total, locked_dropout
from birnn_jax.models import TaggerParams
from experiments.music.model import read
from experiments.runner.data.keys import key_of_rows, split_rows
from experiments.runner.run import loop


class MusicModel(NamedTuple):
    """The shape of the model, and how it is regularised: everything static about it."""

    layers: tuple[Layer, ...]
    dropout: float
    input_dropout: float
    transpose: int


def score(
    model: MusicModel,
    params: TaggerParams,
    rolls: jax.Array,
    lengths: jax.Array | None = None,
    *,
    carry: Any = None,
    keys: jax.Array | None = None,
) -> tuple[Any, jax.Array]:
    """Scores every key for the frame after each frame.

    Args:
      model: static.
      params: from `init_params`.
      rolls: `[B, T, 88]`.
      lengths: `[B]`, None for T.
      carry: of the frames before; None before the first.
      keys: `[B]`, consumed by dropout; None is evaluation.

    Returns:
      The carry after the last frame, and logits `[B, T, 88]`.
    """
    if keys is not None:
        key_input, keys = split_rows(keys, 2)
        rolls = locked_dropout(rolls, model.input_dropout, key_input)
    return read(model.layers, params, rolls, lengths, model.dropout, carry=carry, keys=keys)


def make_loss(model: MusicModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests.

    The loss of a frame is the sum of the binary cross entropies of the 88 keys given all frames
    before it, in nats; the first frame of a piece is given.
    """

    def loss_fn(params: Any, batch: Mapping[str, jax.Array], key: Any) -> dict[str, Total]:
        rolls, keys = batch["roll"], None
        if key is not None:
            key_shift, keys = split_rows(key_of_rows(key, batch["rows"]), 2)
            rolls = jax.vmap(functools.partial(transposed, model.transpose))(key_shift, rolls)
        lengths = jnp.maximum(batch["lengths"] - 1, 0)
        _, logits = score(model, params, rolls[:, :-1], lengths, keys=keys)
        nats = optax.sigmoid_binary_cross_entropy(logits, rolls[:, 1:]).sum(axis=-1)
        valid = jnp.arange(nats.shape[1])[None] < lengths[:, None]
        return {"loss": Total(jnp.where(valid, nats, 0).sum(), valid.sum(dtype=nats.dtype))}

    return loss_fn


def transposed(most: int, key: jax.Array, roll: jax.Array) -> jax.Array:
    """A roll `[T, 88]` moved by up to `most` semitones; what leaves the piano is gone."""
    shift = jax.random.randint(key, [], 0, 2 * most + 1)
    padded = jnp.pad(roll, [(0, 0), (most, most)])
    return jax.lax.dynamic_slice_in_dim(padded, shift, roll.shape[1], axis=1)
