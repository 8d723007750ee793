"""Training a model that goes on with music, and the trained one from its run folder."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import init_tagger
from birnn_jax.models import TaggerParams
from experiments.music.compose.config import MusicConfig
from experiments.music.compose.model import MusicModel, make_loss
from experiments.music.midi import KEYS
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.tasks import settings_of


def init_params(config: MusicConfig, key: jax.Array) -> TaggerParams:
    """The parameters before training; consumes `key`. At first about four keys are expected."""
    sizes = {"input_size": KEYS, "hidden_size": config.hidden_size, "num_classes": KEYS}
    params = init_tagger(config.model.layers, key, **sizes)
    return params._replace(b=jnp.full_like(params.b, -3.0))


def make_training(
    config: MusicConfig, train: Sequence[np.ndarray], dev: Sequence[np.ndarray]
) -> loop.Training:
    """Says to the runner what to train."""
    lengths = [len(roll) for roll in train]
    batches = config.batches(_examples(train), lengths, epochs=config.epochs, seed=config.seed)
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=functools.partial(init_params, config),
        train=batches,
        dev=config.batches(_examples(dev), lengths),
        score=lambda means: -means["loss"],
        **config.training(batches.per_epoch, len(batches)),
    )


def _examples(rolls: Sequence[np.ndarray]) -> list[dict[str, np.ndarray]]:
    return [{"roll": roll} for roll in rolls]


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


def load_composer(folder: RunFolder) -> TrainedComposer:
    """The best checkpoint of a run, from its folder alone."""
    config = MusicConfig(**settings_of(folder))
    params = best_params(folder, config, functools.partial(init_params, config))
    return TrainedComposer(config, params)


@jax.jit(static_argnames="model")
def _music_totals(model: MusicModel, params: Any, batch: Any) -> Any:
    return make_loss(model)(params, batch, None)
