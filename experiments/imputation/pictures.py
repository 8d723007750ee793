"""Pictures of gaps: how they were filled in, and how errors grow with their length."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.runner.style import BLUE, GREEN, GREY, ORANGE, VERMILION, label_lines, tidy

_COLORS = (BLUE, VERMILION, GREEN, ORANGE, GREY)
_ROW = 1.5  # inches of a feature


class Filled(NamedTuple):
    """A stretch of a table, leaves `[T, D]`, in the units of the file."""

    values: np.ndarray  # NaN where not known
    seen: np.ndarray
    estimates: np.ndarray
    names: Sequence[str]
    times: Sequence[str]


def plot_filled(path: pathlib.Path, filled: Filled, title: str) -> None:
    """Draws what was seen, the gaps as bands, and in them what was filled in and what is true."""
    count = len(filled.names)
    figure = Figure(figsize=(10, 0.9 + _ROW * count), layout="constrained")
    rows = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for number, axes in enumerate(rows):
        _plot_feature(axes, filled, number)
        axes.set_ylabel(filled.names[number])
        tidy(axes)
    steps = np.linspace(0, len(filled.times) - 1, 5).astype(int)
    rows[-1].set_xticks(steps, [filled.times[step] for step in steps], fontsize=8)
    handles, labels = rows[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.savefig(path, dpi=150)


def _plot_feature(axes: Axes, filled: Filled, number: int) -> None:
    values, seen = filled.values[:, number], filled.seen[:, number]
    steps = np.arange(len(values))
    for start, end in gaps_of(seen):
        axes.axvspan(start - 0.5, end - 0.5, color=ORANGE, alpha=0.22, lw=0)
    axes.plot([], [], color=ORANGE, alpha=0.3, lw=8, label="gap")
    axes.plot(steps, np.where(seen, values, np.nan), ".-", color=GREY, ms=4, lw=1, label="seen")
    axes.plot(steps[~seen], values[~seen], "o", mfc="none", color="black", ms=5, label="hidden")
    shown = np.where(seen, np.nan, filled.estimates[:, number])
    axes.plot(steps, shown, "x-", color=BLUE, ms=5, mew=1.5, lw=1, label="filled in")
    axes.set_xlim(-0.5, len(values) - 0.5)


def gaps_of(seen: np.ndarray) -> list[tuple[int, int]]:
    """First step of each gap, and the step after its last.

    Example:
      >>> gaps_of(np.array([True, False, False, True, False]))
      [(1, 3), (4, 5)]
    """
    edges = np.diff(np.concatenate([[0], ~seen, [0]]).astype(int))
    return [
        (int(start), int(end))
        for start, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    ]


def plot_gaps(path: pathlib.Path, rows: Mapping[str, Sequence[float]], gaps: Sequence[int]) -> None:
    """Draws the mean absolute error over the length of the gaps, a line for each row."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    ends = []
    for (name, errors), color in zip(rows.items(), _COLORS, strict=False):
        axes.plot(gaps, errors, "o-", color=color, ms=4)
        ends.append((gaps[-1], errors[-1], name, color))
    axes.set_xscale("log", base=2)
    axes.set_xticks(gaps, [str(gap) for gap in gaps])
    axes.set(xlabel="steps of a gap", ylim=(0, None), title="Mean absolute error, deviations")
    axes.minorticks_off()
    tidy(axes)
    label_lines(axes, ends)
    figure.savefig(path, dpi=150)
