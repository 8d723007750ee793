"""A model that fills in hidden notes of four voices, from the notes around them.

It reads, for every frame, the key of each voice that is not hidden and which are, and gives for
each voice how likely every key is.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import birnn_jax
from birnn_jax import Total, init_tagger
from birnn_jax.data import row_keys, split_row_keys
from birnn_jax.models import TaggerParams
from birnn_jax.training import evaluate
from experiments.music.infill.config import InfillConfig, InfillModel
from experiments.music.infill.data import (
    PLACES,
    VOICES,
    examples_of,
    hidden_bars,
    hidden_voice,
    ways_to_hide,
)
from experiments.music.midi import KEYS
from experiments.music.model import read
from experiments.runner.run import loop
from experiments.runner.run.best import load_best
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.programs import quick_jit


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
            key_shift, key_hide, keys = split_row_keys(row_keys(key, batch["rows"]), 3)
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


def init_params(config: InfillConfig, key: jax.Array) -> TaggerParams:
    """The parameters before training; consumes `key`."""
    count = len(VOICES)
    sizes = {"input_size": count * (KEYS + 1), "num_classes": count * KEYS}
    return init_tagger(config.model.layers, key, hidden_size=config.hidden_size, **sizes)


def make_training(
    config: InfillConfig, train: Sequence[np.ndarray], dev: Sequence[np.ndarray]
) -> loop.Training:
    """Says to the runner what to train."""
    nothing = [np.zeros([len(roll), len(VOICES)], bool) for roll in train]
    lengths = [len(roll) for roll in train]
    examples = examples_of(train, nothing)
    of_train = config.batches(examples, lengths, epochs=config.epochs, seed=config.seed)
    of_dev = [example for way in ways_to_hide(dev, config.bar).values() for example in way]
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=functools.partial(init_params, config),
        train=of_train,
        dev=config.batches(of_dev, lengths),
        score=lambda means: -means["loss"],
        **config.training(of_train.per_epoch, len(of_train)),
    )


class TrainedInfiller(NamedTuple):
    """A model that fills in hidden notes, with its best parameters."""

    config: InfillConfig
    params: Any

    def measure(self, rolls: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
        """Nats per note and accuracy, for each voice and for bars."""
        eval_step = functools.partial(_infill_totals, self.config.model)
        measured = {}
        for name, examples in ways_to_hide(rolls, self.config.bar).items():
            batches = self.config.batches(examples, [len(roll) for roll in rolls])
            measured[name] = evaluate(eval_step, self.params, batches)
        return measured

    def fill(self, voices: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """Voices `[T, 4]` with the hidden notes filled in, the most certain one first.

        Each note is the likeliest one, given those that were not hidden and those filled in before.
        """
        voices, hidden = voices.copy(), hidden.copy()
        for _ in range(int(hidden.sum())):
            batch = (voices[None], hidden[None], np.array([len(voices)]))
            shares = np.asarray(_shares(self.config.model, self.params, *batch))[0]
            certainty = np.where(hidden, shares.max(axis=-1), -1)
            place = np.unravel_index(certainty.argmax(), certainty.shape)
            voices[place], hidden[place] = shares[place].argmax(), False
        return voices


def load_infiller(folder: RunFolder) -> TrainedInfiller:
    """The best checkpoint of a run, from its folder alone."""
    return TrainedInfiller(*load_best(folder, InfillConfig, init_params))


@quick_jit(static_argnames="model")
def _infill_totals(model: InfillModel, params: Any, batch: Any) -> Any:
    return make_loss(model)(params, batch, None)


@quick_jit(static_argnames="model")
def _shares(
    model: InfillModel,
    params: Any,
    voices: jax.Array,
    hidden: jax.Array,
    lengths: jax.Array,
) -> jax.Array:
    return jax.nn.softmax(score(model, params, voices, hidden, jnp.asarray(lengths)))
