"""Pictures of how gradients flow: norms against distance, and what clipping is for."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.runner.folder import RunFolder
from experiments.runner.journal import read_journal
from experiments.runner.style import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    band,
    label_lines,
    tidy,
)
from experiments.synthetic.flow import Flow, read_flow

Runs = Mapping[str, Sequence[RunFolder]]
_FLOOR = -20  # decades; below, a line has nothing more to say
_TITLES = {"initial": "before training", "trained": "trained"}
_OPTIONS = {  # panels of `plot_options`: what each line is called, and its colour
    "Elman: how recurrent weights start": {
        "elman": ("orthogonal", BLUE),
        "elman-glorot": ("Glorot", VERMILION),
    },
    "LSTM: bias of the forget gate at the start": {
        "lstm-forget-3": ("3", BLUE),
        "lstm": ("1", GREEN),
        "lstm-forget-0": ("0", VERMILION),
    },
    "ReLU from the identity, descent by SGD": {
        "relu-clipped": ("clipped", BLUE),
        "relu-unclipped": ("not clipped", VERMILION),
    },
}


def plot_cells(path: pathlib.Path, runs: Runs) -> None:
    """Draws the norms of d h[T] / d h[t] against T - t, before training and after it."""
    figure = Figure(figsize=(9.6, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    lines = [
        ("Elman", "elman", "hidden", VERMILION, "-"),
        ("GRU", "gru", "hidden", BLUE, "-"),
        ("LSTM", "lstm", "hidden", GREEN, "-"),
        ("LSTM, h and c", "lstm", "state", PURPLE, "--"),
    ]
    for axes, part in zip(panels, Flow._fields, strict=True):
        ends = []
        for label, name, what, color, style in lines:
            ends.append((*_plot_norms(axes, runs[name], (part, what), color, style), label, color))
        _distance_axes(axes, _TITLES[part], ends)
    panels[0].set_ylabel("spectral norm of $\\partial h_T / \\partial h_t$")
    figure.savefig(path, dpi=150)


def plot_options(path: pathlib.Path, runs: Runs) -> None:
    """Draws what initialisation and clipping do to the norms, before training and after it."""
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    grid = figure.subplots(2, len(_OPTIONS), sharey=True)
    for row, part in zip(grid, Flow._fields, strict=True):
        for axes, (title, lines) in zip(row, _OPTIONS.items(), strict=True):
            ends = [
                (*_plot_norms(axes, runs[name], (part, "state"), color), label, color)
                for name, (label, color) in lines.items()
            ]
            _distance_axes(axes, f"{title}\n{_TITLES[part]}", ends)
        row[0].set_ylabel("norm of $\\partial\\,$state$_T / \\partial\\,$state$_t$")
    figure.savefig(path, dpi=150)


def plot_clipping(path: pathlib.Path, runs: Runs) -> None:
    """Draws loss and gradient norm over the steps of training, with clipping and without."""
    figure = Figure(figsize=(9.6, 4), layout="constrained")
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
        axes.set(yscale="log", xlabel="step", title=title, xlim=(0, None))
        tidy(axes)
    panels[0].axhline(np.log(4), color=GREY, ls="--", lw=1)
    panels[0].annotate("chance", (1, np.log(4)), xytext=(3, 4), textcoords="offset points")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=150)


def _plot_norms(
    axes: Axes,
    folders: Sequence[RunFolder],
    which: tuple[str, str],
    color: str,
    style: str = "-",
) -> tuple[float, float]:
    """Draws decades over distances; `which` are fields of `Flow` and `Reach`."""
    part, what = which
    norms = np.stack([getattr(getattr(read_flow(folder), part), what) for folder in folders])
    return band(axes, np.arange(norms.shape[1]), np.maximum(norms, _FLOOR), color, style)


def _distance_axes(axes: Axes, title: str, ends: Sequence[tuple[float, float, str, str]]) -> None:
    axes.set(xlim=(0, ends[0][0]), title=title, xlabel="distance T - t, in steps")
    axes.margins(y=0.08)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axes.yaxis.set_major_formatter(lambda decade, _: f"$10^{{{decade:.0f}}}$")
    axes.axhline(0, color=GREY, lw=0.8)
    tidy(axes)
    label_lines(axes, ends)


def _training(folder: RunFolder, measure: str) -> tuple[list[int], list[float]]:
    records = read_journal(folder.path / "metrics.jsonl")
    train = [record for record in records if record["split"] == "train"]
    return [one["step"] for one in train], [one[measure] for one in train]
