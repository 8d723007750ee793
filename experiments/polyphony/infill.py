"""A model that fills in hidden notes of four voices, from the notes around them.

It reads, for every frame, the key of each voice that is not hidden and which are, and gives for
each voice how likely every key is.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import birnn_jax
from birnn_jax import Layer, TaggerParams, Total, init_tagger
from experiments.polyphony.config import CELLS, RollSettings, read
from experiments.polyphony.midi import KEYS
from experiments.polyphony.voices import (
    VOICES,
    hidden_bars,
    hidden_voice,
    is_certain,
    to_voices,
)
from experiments.runner import loop
from experiments.runner.keys import key_of_rows, split_rows

PLACES = 4  # a bar in four is hidden


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfillConfig(RollSettings):
    """Everything that decides the outcome of a run."""

    direction: Literal["both", "fwd", "bwd"] = "both"
    """Directions in which a piece is read."""
    layers: int = 1
    """Recurrent layers."""
    hidden_size: int = 128
    """Hidden units of each layer and direction."""
    dropout: float = 0.2
    """Rate of dropout of the outputs of every layer, one mask for all frames of a piece."""
    bar: int = 4
    """Frames of a bar."""
    epochs: int = 24
    """Passes over the training data, at most."""
    epochs_per_evaluation: int = 4
    """Passes from one evaluation on dev, and one checkpoint, to the next."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        self.require_positive("layers", "hidden_size", "bar")
        self.require_rates("dropout")

    @property
    def model(self) -> "InfillModel":
        """The static part of the model."""
        layers = (Layer(CELLS[self.cell], direction=self.direction),) * self.layers
        return InfillModel(layers, self.dropout, self.transpose, self.bar)


class InfillModel(NamedTuple):
    """The shape of the model, and how it is trained: everything static about it."""

    layers: tuple[Layer, ...]
    dropout: float
    transpose: int
    bar: int


def init_params(config: InfillConfig, key: jax.Array) -> TaggerParams:
    """The parameters before training; consumes `key`."""
    count = len(VOICES)
    sizes = {"input_size": count * (KEYS + 1), "num_classes": count * KEYS}
    return init_tagger(config.model.layers, key, hidden_size=config.hidden_size, **sizes)


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


def examples_of(rolls: Sequence[np.ndarray], hidden: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Pieces as `score` reads them, with what is hidden of each, `[T, 4]`."""
    return [
        {
            "voices": to_voices(roll),
            "hidden": mask,
            "certain": np.repeat(is_certain(roll)[:, None], len(VOICES), axis=1),
        }
        for roll, mask in zip(rolls, hidden, strict=True)
    ]


def ways_to_hide(rolls: Sequence[np.ndarray], bar: int) -> dict[str, list[dict[str, Any]]]:
    """Every piece with each voice hidden in turn, and with each bar in four."""
    ways = {
        name: examples_of(rolls, [hidden_voice(len(roll), voice) for roll in rolls])
        for voice, name in enumerate(VOICES)
    }
    places = [(roll, hidden_bars(len(roll), bar, i)) for i in range(PLACES) for roll in rolls]
    there = [(roll, mask) for roll, mask in places if mask.any()]  # a short piece has few bars
    ways["bars"] = examples_of([roll for roll, _ in there], [mask for _, mask in there])
    return ways


def make_training(
    config: InfillConfig, train: Sequence[np.ndarray], dev: Sequence[np.ndarray]
) -> loop.Training:
    """Says to the runner what to train."""
    nothing = [np.zeros([len(roll), len(VOICES)], bool) for roll in train]
    lengths = [len(roll) for roll in train]
    examples = examples_of(train, nothing)
    of_train = config.batches(examples, lengths, epochs=config.epochs, seed=config.seed)
    of_dev = [one for way in ways_to_hide(dev, config.bar).values() for one in way]
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=functools.partial(init_params, config),
        train=of_train,
        dev=config.batches(of_dev, lengths),
        score=lambda means: -means["loss"],
        **config.training(of_train.per_epoch, len(of_train)),
    )
