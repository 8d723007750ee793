"""Perplexity against depth, as a table and as a picture."""

import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.characters.report import COLORS, finish_axes, log_axis
from experiments.deep_rnn.config import CHANGES, Change
from experiments.runner.pictures.figures import new_figure, save_picture


def plot_depths(
    path: pathlib.Path,
    last: Mapping[tuple[Any, int], Sequence[float]],
    curves: Mapping[Any, Sequence[Sequence[float]]],
    depth: int,
) -> None:
    """Draws perplexity against depth, and over the passes for every change at one depth."""
    figure = new_figure(11, 4.2)
    left, right = figure.subplots(1, 2)
    for change in ("plain", "all"):
        if (change, depth) not in last:
            continue
        color = _COLOR_OF[change]
        depths = sorted(number for name, number in last if name == change)
        means = [np.mean(last[change, number]) for number in depths]
        left.plot(depths, means, "-", color=color, label=_CHANGES[change])
        for number in depths:
            values = last[change, number]
            left.plot([number] * len(values), values, "o", color=color, ms=4, alpha=0.6)
    left.set(xlabel="layers", ylabel="perplexity", title="Perplexity of training against depth")
    left.set_xticks(sorted({number for _, number in last}))
    for change, runs in curves.items():
        for number, curve in enumerate(runs):
            label = _CHANGES[change] if number == 0 else None
            passes = range(1, len(curve) + 1)
            right.plot(passes, curve, color=_COLOR_OF[change], lw=1.3, label=label)
    right.set(xlabel="epoch", ylabel="perplexity")
    right.set_title(f"{depth} layers, one change at a time")
    for axes in (left, right):
        log_axis(axes)
        finish_axes(axes)
        axes.legend(frameon=False)
    save_picture(figure, path)


_CHANGES = {
    "plain": "plain",
    "residual": "residual connections",
    "layer_norm": "layer norm",
    "orthogonal": "orthogonal, gate by gate",
    "all": "all three",
}
_COLOR_OF = dict(zip(_CHANGES, (COLORS[2], *COLORS[3:6], COLORS[0]), strict=True))


def print_depths(last: dict[tuple[Change, int], list[float]], console: Console) -> None:
    """Prints the perplexity of every stack, the mean over seeds."""
    table = Table(title="Perplexity of training, last epoch", title_justify="left")
    depths = sorted({depth for _, depth in last})
    table.add_column("layers")
    for depth in depths:
        table.add_column(str(depth), justify="right")
    for change in CHANGES:
        cells = [last.get((change, depth)) for depth in depths]
        if any(cells):
            table.add_row(change, *(f"{statistics.mean(c):,.4g}" if c else "" for c in cells))
    console.print(table, highlight=False)
