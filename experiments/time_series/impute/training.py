"""Training a model that fills in missing values, and the trained one from its run folder."""

import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from birnn_jax import Bi, init_bidirectional
from experiments.runner.data.files import parsed_as, read_json
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.tasks import settings_of
from experiments.time_series.impute.brits import BRITS
from experiments.time_series.impute.config import ImputeConfig
from experiments.time_series.impute.data import HiddenBatches, Scale, TrainingBatches, Windows
from experiments.time_series.impute.model import ImputeModel, combine, estimate, make_loss
from experiments.time_series.impute.table import Table


def init_params(config: ImputeConfig, num_features: int, key: jax.Array) -> Bi[Any]:
    """The parameters before training, of both directions also where one is not used."""
    sizes = {"input_size": 2 * num_features, "hidden_size": config.hidden_size}
    return init_bidirectional(BRITS, key, **sizes)


def make_training(config: ImputeConfig, parts: Mapping[str, Windows]) -> loop.Training:
    """Says to the runner what to train."""
    train = TrainingBatches(
        parts["train"],
        size=config.windows_per_batch,
        epochs=config.epochs,
        concealed=config.concealed,
        anywhere=config.anywhere,
        seed=config.seed,
    )
    num_features = parts["train"].values.shape[-1]
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=functools.partial(init_params, config, num_features),
        train=train,
        dev=HiddenBatches(parts["dev"]),
        score=lambda means: -means["mae"],
        **config.training(train.per_epoch, len(train)),
    )


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
