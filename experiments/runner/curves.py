"""How a training went: any numbers of its journal, over its steps."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.runner.style import BLUE, GREY, SKY, tidy

_SMOOTHED = 60  # points of the smoothed training curve


class Panel(NamedTuple):
    """One picture beside others."""

    title: str
    metric: str  # of the journal
    scale: str = "linear"
    percent: bool = False
    levels: Mapping[str, float] = {}  # names and heights of lines to compare with


def plot_curves(
    path: pathlib.Path, records: Sequence[Mapping[str, Any]], panels: Sequence[Panel]
) -> None:
    """Draws a metric in each panel: of training, smoothed, and on dev."""
    figure = Figure(figsize=(4.8 * len(panels), 3.6), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for split, color, name in (("train", SKY, "training"), ("dev", BLUE, "dev")):
            points = [(r["step"], r[panel.metric]) for r in records if r["split"] == split]
            points = [point for point in points if np.isfinite(point[1])]
            size = max(1, len(points) // _SMOOTHED)
            groups = [points[i : i + size] for i in range(0, len(points), size)]
            steps, values = np.array([np.mean(group, axis=0) for group in groups]).T
            axes.plot(steps, values, color=color, lw=1.6, label=name)
        for name, height in panel.levels.items():
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
        axes.set(title=panel.title, xlabel="step", xlim=(0, None), yscale=panel.scale)
        if panel.percent:
            axes.yaxis.set_major_formatter("{x:.0%}")
        axes.legend(frameon=False)
        tidy(axes)
    figure.savefig(path, dpi=150)
