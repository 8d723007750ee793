"""What each cell reaches, and what it costs, as a table and as a picture."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import BLUE, VERMILION, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Results = Mapping[str, Sequence[Mapping[str, float]]]  # by "cell-direction", of each run
_SIDES = ((6, 4), (6, -10), (-6, 4), (-6, -10), (6, 16))  # points from a mark to its name
_DIRECTIONS = {"both": ("bidirectional", BLUE, "o"), "fwd": ("unidirectional", VERMILION, "s")}


def print_table(results: Results) -> None:
    """Prints means and standard deviations."""
    table = Table(title="Words of test right", title_justify="left")
    for name in ("cell", "direction", "hidden", "parameters", "accuracy", "CPU seconds"):
        table.add_column(name, justify="left" if name in ("cell", "direction") else "right")
    for name, runs in results.items():
        cell, _, direction = name.rpartition("-")
        accuracy, seconds = _column(runs, "accuracy"), _column(runs, "cpu_seconds")
        table.add_row(
            *(cell, direction),
            *(f"{runs[0][what]:,.0f}" for what in ("hidden_size", "parameters")),
            f"{accuracy.mean():.2%} ± {_spread(accuracy):.2%}",
            f"{seconds.mean():.1f} ± {_spread(seconds):.1f}",
        )
    Console().print(table)


def plot_cells(path: pathlib.Path, results: Results) -> None:
    """Draws accuracy against processor time: a point a cell and direction, bars for the spread."""
    from matplotlib.ticker import ScalarFormatter

    figure = new_figure(9, 5.4)
    axes = figure.subplots()
    points = {name: _plot_point(axes, name, runs) for name, runs in results.items()}
    for label, color, marker in _DIRECTIONS.values():
        axes.plot([], [], marker, color=color, label=label)
    axes.set(
        xscale="log",
        xlabel="processor time of training, seconds",
        ylabel="accuracy",
        title="Part-of-speech tags right on test, equal numbers of parameters",
    )
    axes.yaxis.set_major_formatter("{x:.1%}")
    for which in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        which(ScalarFormatter())
    tidy(axes)
    axes.margins(x=0.1)
    axes.legend(frameon=False, loc="lower left")
    _write_names(axes, points)
    save_picture(figure, path)


def _plot_point(
    axes: "Axes", name: str, runs: Sequence[Mapping[str, float]]
) -> tuple[float, float]:
    """Draws the mean of runs with its spread, and gives its place."""
    _, color, marker = _DIRECTIONS[name.rpartition("-")[2]]
    accuracy, seconds = _column(runs, "accuracy"), _column(runs, "cpu_seconds")
    point = seconds.mean(), accuracy.mean()
    axes.errorbar(
        *point,
        xerr=_spread(seconds),
        yerr=_spread(accuracy),
        fmt=marker,
        color=color,
        ecolor=color,
        elinewidth=0.8,
        ms=5,
    )
    return point


def _write_names(axes: "Axes", points: Mapping[str, tuple[float, float]]) -> None:
    """Writes the cell beside each point, at the first side where nothing stands yet."""
    from matplotlib.transforms import Bbox

    axes.get_figure().draw_without_rendering()  # pyright: ignore
    marks = axes.transData.transform(list(points.values()))
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in marks]
    for name, point in points.items():
        cell, _, direction = name.rpartition("-")
        for x, y in _SIDES:
            text = axes.annotate(
                cell.replace("_", " "),
                point,
                xytext=(x, y),
                textcoords="offset points",
                ha="left" if x > 0 else "right",
                color=_DIRECTIONS[direction][1],
                fontsize=8,
            )
            box = text.get_window_extent()
            if (x, y) == _SIDES[-1] or not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _column(runs: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    return np.array([run[name] for run in runs])


def _spread(values: np.ndarray) -> float:
    """The standard deviation of a run; of a single one there is none to tell."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0
