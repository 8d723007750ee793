"""Tables and pictures of how well missing values are filled in."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table as Printed

from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    label_lines,
    literal,
    tidy,
)
from experiments.runner.run.folder import RunFolder
from experiments.time_series.impute.baselines import BASELINES
from experiments.time_series.impute.data import Windows, hide
from experiments.time_series.impute.model import TrainedImputer
from experiments.time_series.impute.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]  # values and seen [N, T, D] to estimates
MODEL = "model"
GAPS = (1, 2, 4, 8, 16, 24)


def errors_of(fill: Fill, windows: Windows) -> dict[str, float]:
    """Mean absolute and squared error of the hidden values, in standard deviations."""
    shown = np.where(windows.seen, windows.values, 0)
    differences = (fill(shown, windows.seen) - windows.values)[windows.hidden]
    return {"mae": float(np.abs(differences).mean()), "mse": float((differences**2).mean())}


def compare(fill: Fill, windows: Windows) -> dict[str, dict[str, float]]:
    """The errors of the model and of what needs none."""
    return {name: errors_of(way, windows) for name, way in {MODEL: fill, **BASELINES}.items()}


def metrics_of(compared: dict[str, dict[str, float]]) -> dict[str, float]:
    """As result.json has them."""
    baselines = {
        f"mae_{name.replace(' ', '_')}": errors["mae"]
        for name, errors in compared.items()
        if name != MODEL
    }
    return {**compared[MODEL], **baselines}


def hide_again(windows: Windows, gap: int, seed: int) -> Windows:
    """The same windows with a tenth of them hidden in gaps of `gap` steps."""
    observed = windows.seen | windows.hidden
    hidden = hide(observed, 0.1, gap, np.random.default_rng([seed, gap]))
    return windows._replace(seen=observed & ~hidden, hidden=hidden)


def errors_by_gap(fill: Fill, windows: Windows, gaps: Sequence[int], seed: int) -> list[float]:
    """The mean absolute error over gaps of each length."""
    return [errors_of(fill, hide_again(windows, gap, seed))["mae"] for gap in gaps]


def print_comparison(compared: dict[str, dict[str, float]], count: int, console: Console) -> None:
    """Prints a row for each way to fill in."""
    table = Printed(title=f"{count:,} hidden values, errors in deviations", title_justify="left")
    table.add_column("filled in by")
    table.add_column("mean absolute error", justify="right")
    table.add_column("mean squared error", justify="right")
    for name, errors in compared.items():
        table.add_row(name, f"{errors['mae']:.4f}", f"{errors['mse']:.4f}")
    console.print(table, highlight=False)


def print_gaps(rows: dict[str, list[float]], gaps: Sequence[int], console: Console) -> None:
    """Prints the mean absolute error over gaps of each length."""
    table = Printed(title="mean absolute error by steps of a gap", title_justify="left")
    table.add_column("filled in by")
    for gap in gaps:
        table.add_column(str(gap), justify="right")
    for name, errors in rows.items():
        table.add_row(name, *(f"{error:.3f}" for error in errors))
    console.print(table, highlight=False)


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
    figure = new_figure(10, 0.9 + _ROW * count)
    rows = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for number, axes in enumerate(rows):
        _plot_feature(axes, filled, number)
        axes.set_ylabel(literal(filled.names[number]))
        tidy(axes)
    steps = np.linspace(0, len(filled.times) - 1, 5).astype(int)
    times = [literal(filled.times[int(step)]) for step in steps]
    rows[-1].set_xticks(steps, times, fontsize=8)
    rows[-1].set_xlabel("time")
    handles, labels = rows[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(literal(title), x=0.01, ha="left", fontsize=11)
    save_picture(figure, path)


def _plot_feature(axes: "Axes", filled: Filled, number: int) -> None:
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
    figure = new_figure(7.5, 4)
    axes = figure.subplots()
    ends = []
    for (name, errors), color in zip(rows.items(), _COLORS, strict=False):
        axes.plot(gaps, errors, "o-", color=color, ms=4)
        ends.append((gaps[-1], errors[-1], name, color))
    axes.set_xscale("log", base=2)
    axes.set_xticks(gaps, [str(gap) for gap in gaps])
    axes.set(
        title="Error by the length of the gap",
        xlabel="steps of a gap",
        ylabel="mean absolute error, deviations",
        ylim=(0, None),
    )
    axes.minorticks_off()
    tidy(axes)
    label_lines(axes, ends)
    save_picture(figure, path)


_DRAWN_GAP = 6


def finish(
    folder: RunFolder, imputer: TrainedImputer, table: Table, test: Windows, console: Console
) -> dict[str, float]:
    """Tests the model, prints how it does, and draws; returns the metrics."""
    compared = compare(imputer.fill, test)
    print_comparison(compared, int(test.hidden.sum()), console)
    metrics = metrics_of(compared)
    levels = {"straight lines": metrics["mae_straight_lines"]}
    plot_curves(
        folder,
        Panel("Loss, all estimates", "loss", scale="log"),
        Panel("Mean absolute error, deviations", "mae", levels=levels),
    )
    gap = min(_DRAWN_GAP, imputer.config.steps // 2)
    for name, windows in (("points", test), ("gaps", hide_again(test, gap, seed=0))):
        draw_window(folder.path / f"{name}.png", imputer, table, windows)
    return metrics


def draw_window(
    path: pathlib.Path, imputer: TrainedImputer, table: Table, windows: Windows
) -> None:
    """Draws the window with gaps in the most features, and of those with the most values hidden."""
    hidden = windows.hidden.sum(axis=1)
    drawn = int(((hidden > 0).sum(axis=1) * windows.hidden[0].size + hidden.sum(axis=1)).argmax())
    estimates = imputer.fill(windows.values, windows.seen)[drawn]
    seen = windows.seen[drawn]
    values = np.where(seen | windows.hidden[drawn], windows.values[drawn], np.nan)
    first = windows.first_row + drawn * len(seen)
    stretch = (imputer.scale.restore(values), seen, imputer.scale.restore(estimates))
    filled = Filled(*stretch, table.names, table.times[first : first + len(seen)])
    plot_filled(path, filled, "A window of the test")
