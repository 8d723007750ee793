"""Pictures of perplexity."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

COLORS = ("#08519c", "#6baed6", "#d94801", "#fdae6b", "#238b45", "#6a51a3", "#969696")
_TICKS = (1, 1.02, 1.1, 1.5, 2, 4, 10, 30, 100, 300, 1000, 3000)


def plot_run(
    path: pathlib.Path, training: Sequence[float], dev: Sequence[Mapping[str, Any]], epochs: int
) -> None:
    """Draws the perplexity of training and on dev over the passes of a run."""
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(range(1, epochs + 1), training, color=COLORS[1], label="training, as it goes on")
    steps = max(record["step"] for record in dev) / epochs
    axes.plot(
        [record["step"] / steps for record in dev],
        [np.exp(record["loss"]) for record in dev],
        "o-",
        color=COLORS[0],
        ms=3,
        label="dev",
    )
    axes.set(xlabel="pass over the text", xlim=(0, None), title="Perplexity")
    log_axis(axes)
    finish_axes(axes)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


def log_axis(axes: Axes) -> None:
    """Perplexity at round numbers, in proportion to nats."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    inside = [tick for tick in _TICKS if low * 0.97 <= tick <= high * 1.03]
    # Two labels that would touch are one too many.
    far = np.log(high / low) / 14
    kept: list[float] = []
    for tick in inside:
        if not kept or np.log(tick / kept[-1]) > far:
            kept.append(tick)
    axes.set_yticks(kept, minor=False)
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))


def finish_axes(axes: Axes) -> None:
    """The look of all pictures."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
