"""A picture of what becomes of each task as it grows."""

import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    SKY,
    VERMILION,
    median_line,
    tidy,
)
from experiments.synthetic.report import scale_axis
from experiments.synthetic.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "Elman": VERMILION,
    "GRU": BLUE,
    "LSTM": GREEN,
    "LSTM, chrono": PURPLE,
    "minGRU": SKY,
    "both directions": GREEN,
    "forwards only": VERMILION,
    "both, one layer": PURPLE,
}
_MARKERS = dict(zip(COLOURS, ("s", "o", "^", "D", "v", "o", "s", "D"), strict=True))
_NAMES = {
    "adding": "Adding: mean squared error",
    "copy": "Copy memory: nats a step",
    "order": "Temporal order: accuracy",
    "parity": "Running parity: accuracy per time step",
    "xor": "x[t-k] XOR x[t+k]: accuracy per time step",
}


class Published(NamedTuple):
    """A figure of a paper, to be drawn beside ours."""

    task: str
    length: int
    value: float
    text: str


# Bai, Kolter and Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent Networks
# for Sequence Modeling, 2018, tables of the adding problem and of copy memory.
PUBLISHED = (
    Published("adding", 600, 0.164, "LSTM"),
    Published("adding", 600, 5.3e-5, "GRU"),
    Published("copy", 1000, 0.0204, "LSTM"),
    Published("copy", 1000, 0.0197, "GRU"),
)


def plot_lengths(
    path: pathlib.Path, results: Mapping[str, Mapping[str, Mapping[int, np.ndarray]]]
) -> None:
    """Draws a panel a task: its measure against the length, a line a variant, one dot a run.

    Args:
      path: of the picture.
      results: by task, variant and length, the measure of each run.
    """
    figure = new_figure(11, 6.4)
    panels = figure.subplots(2, 3).ravel()
    for axes, (name, variants) in zip(panels, results.items(), strict=False):
        for variant, by_length in variants.items():
            _plot_variant(axes, variant, by_length)
        _plot_known(axes, name, sorted({n for by_length in variants.values() for n in by_length}))
        axes.set_title(_NAMES[name], fontsize=10)
        axes.set_xlabel("length T of a sequence, k = T / 8" if name == "xor" else "length T")
        axes.set_ylabel(TASKS[name].measure)
        scale_axis(axes, TASKS[name])
        _mark_lengths(axes, variants)
        tidy(axes)
    for axes in panels[len(results) :]:
        axes.set_axis_off()
    _legend(figure, results)
    save_picture(figure, path)


def _plot_variant(axes: "Axes", name: str, by_length: Mapping[int, np.ndarray]) -> None:
    lengths = sorted(by_length)
    runs = np.stack([by_length[length] for length in lengths], axis=1)  # [seeds, lengths]
    median_line(axes, lengths, runs, COLOURS[name])
    axes.plot(lengths, runs.T, _MARKERS[name], color=COLOURS[name], ms=4, lw=0)


def _plot_known(axes: "Axes", name: str, lengths: list[int]) -> None:
    """What can be had without a memory, and what others had, where our lengths go as far."""
    grid = np.geomspace(lengths[0], lengths[-1], 50)
    floor = [TASKS[name].memoryless(length) for length in grid]
    axes.plot(grid, floor, "--", color=GREY, lw=1)
    for known in PUBLISHED:
        if known.task == name and lengths[0] <= known.length <= lengths[-1]:
            axes.plot(known.length, known.value, "*", color=COLOURS[known.text], mec="black", ms=11)


def _mark_lengths(axes: "Axes", variants: Mapping[str, Mapping[int, np.ndarray]]) -> None:
    from matplotlib.ticker import ScalarFormatter

    lengths = sorted({length for by_length in variants.values() for length in by_length})
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()


def _legend(figure: "Figure", results: Mapping[str, Mapping[str, object]]) -> None:
    names = dict.fromkeys(name for variants in results.values() for name in variants)
    axes = figure.axes[-1]
    for name in names:
        axes.plot([], [], _MARKERS[name] + "-", color=COLOURS[name], ms=5, label=name)
    axes.plot([], [], "--", color=GREY, lw=1, label="the best without a memory")
    axes.plot([], [], "*", color="white", mec="black", ms=11, label="published (Bai et al. 2018)")
    axes.legend(frameon=False, loc="center", fontsize=10)
