"""A model that is ready to fill in missing values."""

import functools
import json
import pathlib
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.imputation.config import (
    ImputeConfig,
    ImputeModel,
    combine,
    estimate,
    init_params,
)
from experiments.imputation.table import Table
from experiments.imputation.windows import Scale
from experiments.runner.best import best_params
from experiments.runner.files import parsed_as, read_json
from experiments.runner.folder import RunFolder
from experiments.runner.tasks import settings_of

FEATURES = "features.json"


class TrainedImputer(NamedTuple):
    """A model with its best parameters, and the features that it knows."""

    model: ImputeModel
    params: Any
    names: tuple[str, ...]
    scale: Scale
    steps: int

    def fill(self, values: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Estimates of every value of windows `[N, T, D]`, standardised, from those seen."""
        return np.asarray(_fill(self.model, self.params, values.astype(np.float32), seen))

    def complete(self, table: Table) -> np.ndarray:
        """The values of a table, `[T, D]`, with estimates where there are none.

        It is read in windows of the length of training, the last of which ends where the table
        does.

        Raises:
          ValueError: if the features are not those of training.
        """
        if table.names != self.names:
            raise ValueError(
                f"The model knows the columns {', '.join(self.names)}, in this order; the table "
                f"has {', '.join(table.names)}."
            )
        size = len(table.values)
        steps = min(self.steps, size)
        starts = [*range(0, size - steps, steps), size - steps]
        rows = np.array(starts)[:, None] + np.arange(steps)
        standardised = self.scale.standardise(table.values)[rows]
        estimates = self.scale.restore(self.fill(standardised, ~np.isnan(standardised)))
        completed = table.values.copy()
        for window, found in zip(rows, estimates, strict=True):
            missing = np.isnan(table.values[window])
            completed[window] = np.where(missing, found, table.values[window])
        return completed


def save_features(path: pathlib.Path, table: Table, scale: Scale) -> None:
    """Writes JSON: the names of the features, and their scale."""
    known = {
        "names": table.names,
        "mean": scale.mean.tolist(),
        "deviation": scale.deviation.tolist(),
    }
    path.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")


def load_features(path: pathlib.Path) -> tuple[tuple[str, ...], Scale]:
    """Reads what `save_features` wrote."""
    what = "the features of a model of a table"
    known = read_json(path, what)
    with parsed_as(path, what):
        names = tuple(str(name) for name in known["names"])
        numbers = (np.array(known[name], float) for name in ("mean", "deviation"))
        return names, Scale(*(one.reshape(len(names)) for one in numbers))


def load_imputer(folder: RunFolder) -> TrainedImputer:
    """The best checkpoint of a run, from its folder alone."""
    config = config_of(folder)
    names, scale = load_features(folder.path / FEATURES)
    params = best_params(folder, config, functools.partial(init_params, config, len(names)))
    return TrainedImputer(config.model, params, names, scale, config.steps)


def config_of(folder: RunFolder) -> ImputeConfig:
    """The settings of a run."""
    return ImputeConfig(
        **settings_of(folder), table=pathlib.Path(folder.config["data"]["table"]["path"])
    )


@jax.jit(static_argnames="model")
def _fill(model: ImputeModel, params: Any, values: jax.Array, seen: jax.Array) -> jax.Array:
    return combine(estimate(model, params, values, seen))
