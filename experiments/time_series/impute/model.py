"""Estimates of missing values by `brits` in one or both directions, and their loss."""

import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import Bi, Total, bidirectional, init_bidirectional, scan_cell
from experiments.runner.data.files import parsed_as, read_json
from experiments.runner.run import loop
from experiments.runner.run.best import load_best
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.programs import quick_jit
from experiments.time_series.impute.brits import BRITS, Estimates
from experiments.time_series.impute.config import ImputeConfig, ImputeModel
from experiments.time_series.impute.data import HiddenBatches, Scale, TrainingBatches, Windows
from experiments.time_series.impute.table import Table


def estimate(
    model: ImputeModel, params: Bi[Any], values: jax.Array, seen: jax.Array
) -> tuple[Estimates, ...]:
    """Estimates of every value, `[B, T, D]`, by each direction; no value is used for its own.

    What stands where `seen` is False is not read, NaN included.
    """
    xs = jnp.concatenate([values, seen.astype(values.dtype)], axis=-1)
    if model.direction == "both":
        estimates: Bi[Any] = bidirectional(BRITS, params, xs, merge="none")[1]
        return estimates.fwd, estimates.bwd
    reverse = model.direction == "bwd"
    _, ys = scan_cell(BRITS, params.bwd if reverse else params.fwd, xs, reverse=reverse)
    return (Estimates(*ys),)


def combine(estimates: tuple[Estimates, ...]) -> jax.Array:
    """What is filled in: the mean of the directions."""
    return jnp.mean(jnp.stack([direction.mixed for direction in estimates]), axis=0)


def make_loss(model: ImputeModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests.

    Absolute errors of all estimates of the values that are wanted, and the difference between both
    directions everywhere; "mae" and "mse" are of what is filled in.
    """

    def loss_fn(params: Any, batch: Mapping[str, jax.Array], key: Any) -> dict[str, Total]:
        del key
        values, wanted = batch["values"], batch["wanted"]
        estimates = estimate(model, params, values, batch["seen"])
        count = wanted.sum(dtype=values.dtype)

        def total(errors: jax.Array) -> Total:
            return Total(jnp.where(wanted, errors, 0).sum(), count)

        errors = [jnp.abs(guess - values) for direction in estimates for guess in direction]
        loss = total(jnp.stack(errors).sum(axis=0))
        if len(estimates) == 2:
            differences = jnp.abs(estimates[0].mixed - estimates[1].mixed)
            loss = loss._replace(sum=loss.sum + model.consistency * count * differences.mean())
        error = combine(estimates) - values
        return {"loss": loss, "mae": total(jnp.abs(error)), "mse": total(error**2)}

    return loss_fn


FEATURES = "features.json"


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


class TrainedImputer(NamedTuple):
    """A model with its best parameters, and the features that it knows."""

    config: ImputeConfig
    params: Any
    names: tuple[str, ...]
    scale: Scale

    def fill(self, values: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Estimates of every value of windows `[N, T, D]`, standardised, from those seen."""
        return np.asarray(_fill(self.config.model, self.params, values.astype(np.float32), seen))

    def complete(self, table: Table, rows: range | None = None) -> np.ndarray:
        """The values of rows of a table, `[R, D]`, with estimates where there are none.

        The table is read in windows of the length of training, the last of which ends where the
        table does.

        Args:
          table: with the features of training.
          rows: which rows, one after the other; None is all.
        """
        size = len(table.values)
        rows = range(size) if rows is None else rows
        steps = min(self.config.steps, size)
        starts = [*range(0, size - steps, steps), size - steps]
        starts = [start for start in starts if rows.start - steps < start < rows.stop]
        windows = np.array(starts)[:, None] + np.arange(steps)
        standardised = self.scale.standardise(table.values[windows])
        estimates = self.scale.restore(self.fill(standardised, ~np.isnan(standardised)))
        found = np.zeros_like(table.values)
        for window, estimate in zip(windows, estimates, strict=True):
            found[window] = estimate
        values = table.values[rows.start : rows.stop]
        return np.where(np.isnan(values), found[rows.start : rows.stop], values)


def save_features(path: pathlib.Path, names: Sequence[str], scale: Scale) -> None:
    """Writes JSON: the names of the features, and their scale."""
    known = {
        "names": list(names),
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
        return names, Scale(*(array.reshape(len(names)) for array in numbers))


def load_imputer(folder: RunFolder) -> TrainedImputer:
    """The best checkpoint of a run, from its folder alone."""
    names, scale = load_features(folder.path / FEATURES)
    config, params = load_best(folder, ImputeConfig, init_params, len(names))
    return TrainedImputer(config, params, names, scale)


@quick_jit(static_argnames="model")
def _fill(model: ImputeModel, params: Any, values: jax.Array, seen: jax.Array) -> jax.Array:
    return combine(estimate(model, params, values, seen))
