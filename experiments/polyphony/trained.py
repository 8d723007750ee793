"""Models of music that are ready to use."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.polyphony import config as music
from experiments.polyphony import infill
from experiments.polyphony.config import MusicConfig
from experiments.polyphony.infill import InfillConfig
from experiments.polyphony.rolls import read_rolls
from experiments.runner import loop
from experiments.runner.best import best_params
from experiments.runner.folder import RunFolder
from experiments.runner.tasks import settings_of


class TrainedComposer(NamedTuple):
    """A model that goes on with music, with its best parameters."""

    config: MusicConfig
    params: Any

    def measure(self, rolls: Sequence[np.ndarray]) -> float:
        """Nats a frame, over every frame but the first of each piece."""
        examples = [{"roll": roll} for roll in rolls]
        batches = self.config.batches(examples, [len(roll) for roll in rolls])
        eval_step = functools.partial(_music_totals, self.config.model)
        return loop.evaluate(eval_step, self.params, batches)["loss"]


class TrainedInfiller(NamedTuple):
    """A model that fills in hidden notes, with its best parameters."""

    config: InfillConfig
    params: Any

    def measure(self, rolls: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
        """Nats a note and the share of notes right, for each voice and for bars."""
        eval_step = functools.partial(_infill_totals, self.config.model)
        measured = {}
        for name, examples in infill.ways_to_hide(rolls, self.config.bar).items():
            batches = self.config.batches(examples, [len(roll) for roll in rolls])
            measured[name] = loop.evaluate(eval_step, self.params, batches)
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


def load_composer(folder: RunFolder) -> TrainedComposer:
    """The best checkpoint of a run, from its folder alone."""
    config = MusicConfig(**settings_of(folder))
    params = best_params(folder, config, functools.partial(music.init_params, config))
    return TrainedComposer(config, params)


def load_infiller(folder: RunFolder) -> TrainedInfiller:
    """The best checkpoint of a run, from its folder alone."""
    config = InfillConfig(**settings_of(folder))
    params = best_params(folder, config, functools.partial(infill.init_params, config))
    return TrainedInfiller(config, params)


def test_rolls(folder: RunFolder, path: pathlib.Path | None = None) -> list[np.ndarray]:
    """The test part of a file, or of the data of the run."""
    path = path or pathlib.Path(folder.config["data"]["data"]["path"])
    return read_rolls(path, "test", folder.settings["frames_per_beat"])


@jax.jit(static_argnames="model")
def _music_totals(model: music.MusicModel, params: Any, batch: Any) -> Any:
    return music.make_loss(model)(params, batch, None)


@jax.jit(static_argnames="model")
def _infill_totals(model: infill.InfillModel, params: Any, batch: Any) -> Any:
    return infill.make_loss(model)(params, batch, None)


@jax.jit(static_argnames="model")
def _shares(
    model: infill.InfillModel,
    params: Any,
    voices: jax.Array,
    hidden: jax.Array,
    lengths: jax.Array,
) -> jax.Array:
    return jax.nn.softmax(infill.score(model, params, voices, hidden, jnp.asarray(lengths)))
