"""Windows of a table, with values hidden to be filled in: what TSI-Bench measures.

The rows are cut in time into parts for training, development and test; every part into windows that
do not overlap, of which, as there, the last is left out. Values are standardised by the mean and
the deviation of the training part. In each part a share of the observed values is hidden, at
random, once and for all: a model never sees them, in training neither.

References:
  Du et al., TSI-Bench: Benchmarking Time Series Imputation, 2024.
"""

import bisect
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from experiments.imputation.hide import hide
from experiments.imputation.table import Table

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
    dev = bisect.bisect_left(table.times, dev_from) if dev_from else size * 6 // 10
    test = bisect.bisect_left(table.times, test_from) if test_from else size * 8 // 10
    if not 0 < dev < test < size:
        raise ValueError(
            f"The parts would have {dev}, {test - dev} and {size - test} rows: choose --dev-from "
            f"and --test-from between {table.times[0]} and {table.times[-1]}, in this order."
        )
    return dict(zip(PARTS, (slice(0, dev), slice(dev, test), slice(test, size)), strict=True))


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
