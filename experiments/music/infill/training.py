"""Training a model that fills in hidden notes, and the trained one from its run folder."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import init_tagger
from birnn_jax.models import TaggerParams
from experiments.music.infill import model as infill
from experiments.music.infill.config import InfillConfig
from experiments.music.infill.data import VOICES, examples_of, ways_to_hide
from experiments.music.infill.model import make_loss
from experiments.music.midi import KEYS
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.tasks import settings_of


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
    of_dev = [one for way in ways_to_hide(dev, config.bar).values() for one in way]
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
        """Nats a note and the share of notes right, for each voice and for bars."""
        eval_step = functools.partial(_infill_totals, self.config.model)
        measured = {}
        for name, examples in ways_to_hide(rolls, self.config.bar).items():
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


def load_infiller(folder: RunFolder) -> TrainedInfiller:
    """The best checkpoint of a run, from its folder alone."""
    config = InfillConfig(**settings_of(folder))
    params = best_params(folder, config, functools.partial(init_params, config))
    return TrainedInfiller(config, params)


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
