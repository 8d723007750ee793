"""Pictures of how gradients flow: norms against distance, and what clipping is for."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.gradient_flow.model import read_flow
from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    label_lines,
    median_line,
    tidy,
)
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Runs = Mapping[str, Sequence[RunFolder]]
Line = tuple[str, str, str, str, str]  # label, name of the runs, field of the state, colour, style
_FLOOR = -8  # decades; below, a line has nothing more to say
_TITLES = {"initial": "before training", "trained": "trained"}
_CELLS = (
    ("Elman", "elman", "h", VERMILION, "-"),
    ("GRU", "gru", "h", BLUE, "-"),
    ("LSTM", "lstm", "h", GREEN, "-"),
    ("LSTM, from $c_t$", "lstm", "c", PURPLE, "--"),
)
_OPTIONS = {  # panels of `plot_options`
    "Elman: recurrent weights, $s_t = h_t$": (
        ("orthogonal", "elman", "h", BLUE, "-"),
        ("Glorot", "elman-glorot", "h", VERMILION, "-"),
    ),
    "LSTM: forget bias, $s_t = c_t$": (
        ("3", "lstm-forget-3", "c", BLUE, "-"),
        ("1", "lstm", "c", GREEN, "-"),
        ("0", "lstm-forget-0", "c", VERMILION, "-"),
    ),
    "ReLU: clipping, $s_t = h_t$": (
        ("clipped", "relu-clipped", "h", BLUE, "-"),
        ("not clipped", "relu-unclipped", "h", VERMILION, "-"),
    ),
}


def plot_cells(path: pathlib.Path, runs: Runs) -> None:
    """Draws the norms of d h[T] / d h[t] against T - t, before training and after it."""
    figure = new_figure(9.6, 4)
    panels = figure.subplots(1, 2, sharey=True)
    _plot_panels([(axes, part, _CELLS) for axes, part in zip(panels, _TITLES, strict=True)], runs)
    for axes, title in zip(panels, _TITLES.values(), strict=True):
        axes.set_title(title)
    panels[0].set_ylabel("spectral norm of $\\partial h_T / \\partial h_t$")
    save_picture(figure, path)


def plot_options(path: pathlib.Path, runs: Runs) -> None:
    """Draws what initialisation and clipping do to the norms, before training and after it."""
    figure = new_figure(11.5, 6.6)
    grid = figure.subplots(2, len(_OPTIONS), sharey=True)
    panels = []
    for part, row in zip(_TITLES, grid, strict=True):
        row[0].set_ylabel(f"{_TITLES[part]}: norm of $\\partial h_T / \\partial s_t$")
        panels += [(axes, part, lines) for axes, lines in zip(row, _OPTIONS.values(), strict=True)]
    for axes, title in zip(grid[0], _OPTIONS, strict=True):
        axes.set_title(title)
    _plot_panels(panels, runs)
    save_picture(figure, path)


def plot_clipping(path: pathlib.Path, runs: Runs) -> None:
    """Draws loss and gradient norm over the steps of training, with clipping and without."""
    figure = new_figure(9.6, 4)
    panels = figure.subplots(1, 2)
    titles = {"loss": "Training loss, nats", "grad_norm": "Norm of the gradient, before clipping"}
    for axes, (measure, title) in zip(panels, titles.items(), strict=True):
        for name, label, color in (
            ("relu-unclipped", "not clipped", VERMILION),
            ("relu-clipped", "clipped at 1", BLUE),
        ):
            for number, folder in enumerate(runs[name]):
                steps, values = _training(folder, measure)
                shown = label if number == 0 else None
                axes.plot(steps, values, color=color, lw=0.9, alpha=0.8, label=shown)
        axes.set(xscale="log", yscale="log", xlabel="step", title=title, xlim=(1, None))
        axes.set_ylabel(measure.replace("grad_norm", "norm of the gradient"))
        tidy(axes)
    panels[0].axhline(np.log(4), color=GREY, ls="--", lw=1)
    panels[0].annotate(
        "chance", (1, np.log(4)), xytext=(4, -12), textcoords="offset points", color=GREY
    )
    for axes in panels:
        axes.legend(frameon=False)
    save_picture(figure, path)


def _plot_panels(panels: Sequence[tuple["Axes", str, Sequence[Line]]], runs: Runs) -> None:
    """Draws the lines of a part; their labels last, when the limits are those of all panels."""
    labels = []
    for axes, part, lines in panels:
        ends = []
        for label, name, what, color, style in lines:
            norms = np.stack([getattr(read_flow(run), part)[what] for run in runs[name]])
            first = 0 if what == "h" else 1  # h[T] is out before c[T] can change it
            norms = np.maximum(norms[:, first:], _FLOOR)
            distances = np.arange(first, first + norms.shape[1])
            end = median_line(axes, distances, norms, color, style)
            ends.append((*end, label, color))
        _distance_axes(axes, int(ends[0][0]))
        labels.append(ends)
    for (axes, _, _), ends in zip(panels, labels, strict=True):
        label_lines(axes, ends)


def _distance_axes(axes: "Axes", longest: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(xlim=(0, longest), xlabel="distance T - t, in steps")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axes.yaxis.set_major_formatter(lambda decade, _: f"$10^{{{decade:.0f}}}$")
    axes.axhline(0, color=GREY, lw=0.8)
    tidy(axes)


def _training(folder: RunFolder, measure: str) -> tuple[list[int], list[float]]:
    records = read_journal(folder.path / "metrics.jsonl")
    train = [record for record in records if record["split"] == "train"]
    return [record["step"] for record in train], [record[measure] for record in train]
