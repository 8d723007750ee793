"""Windows of a table, with values hidden to be filled in: what TSI-Bench measures.

The rows are cut in time into parts for training, development and test; every part into windows that
do not overlap, of which, as there, the last is left out. Values are standardised by the mean and
the deviation of the training part. In each part a share of the observed values is hidden, at
random, once and for all: a model never sees them, in training neither.

References:
  Du et al., TSI-Bench: Benchmarking Time Series Imputation, 2024.
"""

import bisect
import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.runner.data.batches import FlatBatch
from experiments.time_series.impute.config import ImputeConfig
from experiments.time_series.impute.table import Table, read_table

PARTS = ("train", "dev", "test")


class Scale(NamedTuple):
    """Mean and deviation of each feature, of what training observes."""

    mean: np.ndarray  # [D]
    deviation: np.ndarray  # [D]

    def standardise(self, values: np.ndarray) -> np.ndarray:
        """To mean 0 and deviation 1."""
        return (values - self.mean) / self.deviation

    def restore(self, values: np.ndarray) -> np.ndarray:
        """From standardised values to those of the file."""
        return values * self.deviation + self.mean


Features = tuple[tuple[str, ...], Scale]


def require_features(table: Table, names: tuple[str, ...]) -> None:
    """Refuses a table whose features are not those of training.

    Raises:
      ValueError: names both.
    """
    if table.names != names:
        raise ValueError(
            f"The model needs the columns {', '.join(names)}, in this order; the table has "
            f"{', '.join(table.names)}."
        )


class Windows(NamedTuple):
    """Windows of one part, `[N, T, D]`, standardised."""

    values: np.ndarray  # float32; 0 where the file has none
    seen: np.ndarray  # bool, what a model is shown
    hidden: np.ndarray  # bool, observed and hidden
    first_row: int  # of the table, where the first window begins


def split_rows(table: Table, dev_from: str, test_from: str) -> dict[str, slice]:
    """The rows of each part.

    Args:
      table: the table.
      dev_from: the time at which development begins; "" for after six tenths of the rows.
      test_from: the time at which the test begins; "" for after eight tenths.

    Raises:
      ValueError: if a part would be empty.
    """
    size = len(table.times)
    dev = _first_from(table, dev_from) if dev_from else size * 6 // 10
    test = _first_from(table, test_from) if test_from else size * 8 // 10
    if not 0 < dev < test < size:
        raise ValueError(
            f"The parts would have {dev}, {test - dev} and {size - test} rows: choose --dev-from "
            f"and --test-from between {table.times[0]} and {table.times[-1]}, in this order."
        )
    return dict(zip(PARTS, (slice(0, dev), slice(dev, test), slice(test, size)), strict=True))


def _first_from(table: Table, time: str) -> int:
    """The first row that is not before a time."""
    order = table.order
    try:
        first = order.key(time)
    except ValueError:
        raise ValueError(
            f"The times of the table are {order.kind}; {time!r} is not one of them."
        ) from None
    return bisect.bisect_left(table.times, first, key=order.key)


def measure_scale(table: Table, train: slice) -> Scale:
    """Of the rows for training; a feature that never changes has a deviation of 1.

    Raises:
      ValueError: if a feature was not observed in them.
    """
    values = table.values[train]
    for name, column in zip(table.names, values.T, strict=True):
        if np.isnan(column).all():
            raise ValueError(f"{name} has no observed value in the part for training.")
    deviation = np.nanstd(values, axis=0)
    return Scale(np.nanmean(values, axis=0), np.where(deviation > 0, deviation, 1.0))


def cut_parts(
    table: Table, rows: Mapping[str, slice], scale: Scale, *, steps: int, hidden: float, seed: int
) -> dict[str, Windows]:
    """The windows of each part.

    Args:
      table: the table.
      rows: of each part.
      scale: of the training part.
      steps: of a window.
      hidden: the share of observed values that is hidden.
      seed: of the choice of what is hidden.

    Raises:
      ValueError: if a part is shorter than two windows, or nothing would be hidden in it.
    """
    parts = {}
    for number, (name, part) in enumerate(rows.items()):
        values = scale.standardise(table.values[part])
        count = len(values) // steps - 1
        if count < 1:
            raise ValueError(
                f"The part for {name} has {len(values)} rows: two windows of {steps} steps, of "
                "which the last is left out, need more. Choose smaller --steps or other parts."
            )
        values = values[: count * steps].reshape(count, steps, -1)
        observed = ~np.isnan(values)
        drawn = hide(observed, hidden, 1, np.random.default_rng([seed, number]))
        if not drawn.any():
            raise ValueError(f"The part for {name} has too few observed values to hide some.")
        parts[name] = Windows(
            values=np.where(observed, values, 0).astype(np.float32),
            seen=observed & ~drawn,
            hidden=drawn,
            first_row=part.start,
        )
    return parts


def hide(observed: np.ndarray, share: float, gap: int, rng: np.random.Generator) -> np.ndarray:
    """Chooses observed values at random, in gaps of `gap` steps of one feature.

    Args:
      observed: `[N, T, D]` bool.
      share: of all values, 0 to 1. Gaps may meet, so that with long ones it is less.
      gap: steps of a gap, within a window.
      rng: draws where gaps begin.

    Returns:
      `[N, T, D]` bool, a part of `observed`.

    Raises:
      ValueError: if a gap is longer than a window.

    Example:
      >>> seen = np.ones([1, 6, 2], bool)
      >>> hide(seen, 0.25, 3, np.random.default_rng(5))[0].astype(int).T.tolist()
      [[0, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 0]]
    """
    windows, steps, features = observed.shape
    places = (windows, steps - gap + 1, features)
    if places[1] < 1:
        raise ValueError(f"A gap of {gap} steps does not fit into a window of {steps}.")
    count = min(max(1, round(share * observed.size / gap)), int(np.prod(places)))
    chosen = rng.choice(int(np.prod(places)), count, replace=False)
    window, start, feature = np.unravel_index(chosen, places)
    hidden = np.zeros_like(observed)
    for offset in range(gap):
        hidden[window, start + offset, feature] = True
    return hidden & observed


class TrainingBatches:
    """Batches of `epochs` passes: `self[i]` is batch i, a function of (seed, i).

    Everything that is seen is wanted too, since a model estimates a value before it reads it; a
    share of it is concealed, afresh in each batch. A window begins where the part was cut or, with
    `anywhere`, up to a window's length later. What does not fill the last batch of a pass is left
    out, unless it is the only one.
    """

    def __init__(
        self,
        windows: Windows,
        *,
        size: int,
        epochs: int,
        concealed: float,
        anywhere: bool,
        seed: int,
    ):
        """Takes the windows of the training part."""
        count, self._steps, features = windows.values.shape
        self._values = windows.values.reshape(-1, features)
        self._seen = windows.seen.reshape(-1, features)
        self._size = min(size, count)
        self._count = count
        self._epochs = epochs
        self._concealed = concealed
        self._anywhere = anywhere
        self._seed = seed
        self.per_epoch = count // self._size
        self._starts = functools.lru_cache(maxsize=2)(self._make_starts)

    def __len__(self) -> int:
        return self._epochs * self.per_epoch

    def __getitem__(self, index: int) -> FlatBatch:
        epoch, place = divmod(int(index), self.per_epoch)
        starts = self._starts(epoch)[place * self._size : (place + 1) * self._size]
        rows = starts[:, None] + np.arange(self._steps)
        rng = np.random.default_rng([self._seed, epoch, place])
        seen = self._seen[rows]
        shown = seen & (rng.random(seen.shape) >= self._concealed)
        return {"values": self._values[rows], "seen": shown, "wanted": seen}

    def _make_starts(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, epoch])
        starts = rng.permutation(self._count) * self._steps
        if self._anywhere:
            later = starts + rng.integers(0, self._steps, len(starts))
            starts = np.minimum(later, len(self._values) - self._steps)
        return starts


class HiddenBatches:
    """All windows in one batch, of which the hidden values are wanted."""

    def __init__(self, windows: Windows):
        """Takes the windows of a part."""
        self._batch = {
            "values": windows.values,
            "seen": windows.seen,
            "wanted": windows.hidden,
        }

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> FlatBatch:
        return self._batch


class Parts(NamedTuple):
    """The table of a run, the scale of its training part, and the windows of each part."""

    table: Table
    scale: Scale
    windows: dict[str, Windows]


def read_parts(config: ImputeConfig, known: Features | None = None) -> Parts:
    """Reads the data of a run, and tells what was repaired in them.

    Args:
      config: the settings.
      known: the names of the features and their scale; None is what the table has.

    Raises:
      ValueError: names the file, if it cannot be read or has other features.
    """
    reading = config.reading()
    table = read_table(config.table, reading)
    reading.tell()
    rows = split_rows(table, config.dev_from, config.test_from)
    names, scale = known or (table.names, measure_scale(table, rows["train"]))
    require_features(table, names)
    options = {"steps": config.steps, "hidden": config.hidden, "seed": config.seed}
    return Parts(table, scale, cut_parts(table, rows, scale, **options))
