"""A classifier of series that is ready to use."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.runner.batches import Batches
from experiments.runner.best import best_params
from experiments.runner.folder import RunFolder
from experiments.runner.tasks import settings_of
from experiments.series.config import SeriesConfig, SeriesModel, init_params, score
from experiments.series.problem import Problem
from experiments.series.ts_file import Series

PROBLEM = "problem.json"
_BUCKETS = (32, 64, 128, 256, 512)
_STEPS_PER_BATCH = 4096


class TrainedClassifier(NamedTuple):
    """A model with its best parameters, and the problem that it was trained for."""

    model: SeriesModel
    params: Any
    problem: Problem

    def classify(self, series: Sequence[Series]) -> np.ndarray:
        """The probability of each class for each series, `[N, K]`."""
        examples = self.problem.encode(series)
        batches = Batches(examples, buckets=_BUCKETS, tokens_per_batch=_STEPS_PER_BATCH)
        shares = np.zeros([len(series), len(self.problem.labels)])
        for i in range(len(batches)):
            batch = batches[i]
            valid = batch["rows"] >= 0
            found = np.asarray(_probabilities(self.model, self.params, jax.device_put(batch)))
            shares[batch["rows"][valid]] = found[valid]
        return shares


def load_classifier(folder: RunFolder) -> TrainedClassifier:
    """The best checkpoint of a run, from its folder alone."""
    config = config_of(folder)
    problem = Problem.load(folder.path / PROBLEM)
    params = best_params(folder, config, functools.partial(init_params, config, problem))
    return TrainedClassifier(config.model, params, problem)


def config_of(folder: RunFolder) -> SeriesConfig:
    """The settings of a run."""
    return SeriesConfig(**settings_of(folder))


@jax.jit(static_argnames="model")
def _probabilities(model: SeriesModel, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jax.nn.softmax(score(model, params, batch, key=None), axis=-1)
