"""How trainings went: numbers of their journals, over their steps."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import BLUE, GREY, SKY, tidy
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMOOTHED = 60  # points of the smoothed training curve
Records = Sequence[Mapping[str, Any]]


class Panel(NamedTuple):
    """One picture beside others."""

    title: str
    metric: str  # of the journal
    scale: str = "linear"
    percent: bool = False
    levels: Mapping[str, float] = {}  # names and heights of lines to compare with


def plot_curves(folder: RunFolder, *panels: Panel) -> None:
    """Draws curves.png of a run, a metric in each panel: of training, smoothed, and on dev."""
    records = read_journal(folder.path / "metrics.jsonl")
    figure = new_figure(4.8 * len(panels), 3.6)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        train, dev = (_points(records, split, panel.metric) for split in ("train", "dev"))
        if len(train):
            axes.plot(*_smooth(train), color=SKY, lw=1.6, label="training")
        if len(dev):
            axes.plot(*dev.T, color=BLUE, lw=1.6, marker="o", ms=3, label="dev")
        for name, height in panel.levels.items():
            _draw_level(axes, name, height)
        axes.set(title=panel.title, xlabel="step", xlim=(0, None), yscale=panel.scale)
        axes.set_ylabel(_name(panel.metric))
        if panel.percent:
            axes.yaxis.set_major_formatter("{x:.0%}")
        axes.legend(frameon=False)
        tidy(axes)
    save_picture(figure, folder.path / "curves.png")


def plot_comparison(
    path: pathlib.Path,
    groups: Mapping[str, Sequence[RunFolder]],
    *,
    title: str,
    metric: str = "accuracy",
) -> None:
    """Draws a metric on dev over the steps: a line for each run, a colour for each group."""
    figure = new_figure(6.5, 3.8)
    axes = figure.subplots()
    for number, (label, runs) in enumerate(groups.items()):
        journals = [read_journal(run.path / "metrics.jsonl") for run in runs]
        color, points = f"C{number}", [_points(records, "dev", metric) for records in journals]
        for curve in points:
            axes.plot(*curve.T, "o-", color=color, ms=3)
        mean = np.mean([curve[-1, 1] for curve in points])
        axes.plot([], [], "o-", color=color, label=f"{label}: {mean:.1%}")
    axes.set(xlabel="step", ylabel=_name(metric), xlim=(0, None), title=title)
    axes.yaxis.set_major_formatter("{x:.0%}")
    axes.legend(frameon=False, loc="lower right")
    tidy(axes)
    save_picture(figure, path)


def _name(metric: str) -> str:
    """A metric of a journal as it is written."""
    return {"f1": "F1", "mae": "mean absolute error"}.get(metric, metric.replace("_", " "))


def _points(records: Records, split: str, metric: str) -> np.ndarray:
    """`[N, 2]` step and value, where there is a number."""
    points = [
        (record["step"], record[metric])
        for record in records
        if record["split"] == split and np.isfinite(record.get(metric, np.nan))
    ]
    return np.array(points, float).reshape(-1, 2)


def _smooth(points: np.ndarray) -> np.ndarray:
    """`[2, M]` steps and values, means over as many points each."""
    size = max(1, len(points) // _SMOOTHED)
    groups = [points[i : i + size].mean(axis=0) for i in range(0, len(points), size)]
    return np.array(groups).reshape(-1, 2).T


def _draw_level(axes: "Axes", name: str, height: float) -> None:
    axes.axhline(height, color=GREY, linestyle="--", lw=1)
    axes.annotate(
        name,
        (0.99, height),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        color=GREY,
    )
