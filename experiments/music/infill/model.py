"""A model that fills in hidden notes of four voices, from the notes around them.

It reads, for every frame, the key of each voice that is not hidden and which are, and gives for
each voice how likely every key is.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import birnn_jax
from birnn_jax import Layer, Total
from birnn_jax.models import TaggerParams
from experiments.music.infill.data import PLACES, VOICES, hidden_bars, hidden_voice
from experiments.music.midi import KEYS
from experiments.music.model import read
from experiments.runner.data.keys import key_of_rows, split_rows
from experiments.runner.run import loop


class InfillModel(NamedTuple):
    """The shape of the model, and how it is trained: everything static about it."""

    layers: tuple[Layer, ...]
    dropout: float
    transpose: int
    bar: int


def score(
    model: InfillModel,
    params: TaggerParams,
    voices: jax.Array,
    hidden: jax.Array,
    lengths: jax.Array,
    keys: jax.Array | None = None,
) -> jax.Array:
    """Scores every key for every voice: logits `[B, T, 4, 88]`.

    Args:
      model: static.
      params: from `init_params`.
      voices: `[B, T, 4]` keys, -1 for silence.
      hidden: `[B, T, 4]` bool; what is hidden is not read.
      lengths: `[B]`.
      keys: `[B]`, consumed by dropout; None is evaluation.
    """
    shown = jnp.where(hidden[..., None], 0, jax.nn.one_hot(voices, KEYS))
    xs = jnp.concatenate([shown, hidden[..., None].astype(shown.dtype)], axis=-1)
    xs = xs.reshape(*xs.shape[:2], -1)
    _, logits = read(model.layers, params, xs, lengths, model.dropout, keys=keys)
    return logits.reshape(*voices.shape, KEYS)


def make_loss(model: InfillModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests: nats a hidden note.

    In training, by the toss of a coin for each piece, one voice is hidden, or a bar in four; else
    what `batch["hidden"]` says. A note counts in frames in which four sound.
    """

    def loss_fn(params: Any, batch: Mapping[str, jax.Array], key: Any) -> dict[str, Total]:
        voices, hidden, lengths = batch["voices"], batch["hidden"], batch["lengths"]
        keys = None
        if key is not None:
            key_shift, key_hide, keys = split_rows(key_of_rows(key, batch["rows"]), 3)
            shift = functools.partial(_transposed, model.transpose)
            voices = jax.vmap(shift)(key_shift, voices)
            hidden = jax.vmap(functools.partial(_hide, model.bar, voices.shape[1]))(key_hide)
        logits = score(model, params, voices, hidden, lengths, keys)
        inside = jnp.arange(voices.shape[1])[None] < lengths[:, None]
        counted = hidden & batch["certain"] & inside[..., None]
        return {
            "loss": birnn_jax.cross_entropy(logits, voices, counted),
            "accuracy": birnn_jax.accuracy(logits, voices, counted),
        }

    return loss_fn


def _transposed(most: int, key: jax.Array, voices: jax.Array) -> jax.Array:
    shift = jax.random.randint(key, [], -most, most + 1)
    return jnp.where(voices < 0, voices, jnp.clip(voices + shift, 0, KEYS - 1))


def _hide(bar: int, frames: int, key: jax.Array) -> jax.Array:
    """`[T, 4]`: a voice, or a bar in four, drawn among `[hidden_voice, hidden_bars]` of each."""
    choices = [hidden_voice(frames, voice) for voice in range(len(VOICES))]
    choices += [hidden_bars(frames, bar, place) for place in range(PLACES)]
    return jnp.asarray(np.stack(choices))[jax.random.randint(key, [], 0, len(choices))]
