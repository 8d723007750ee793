"""Pictures of perplexity."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
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


def plot_curves_and_points(
    path: pathlib.Path,
    curves: Mapping[str, Sequence[Sequence[float]]],
    points: Mapping[str, Mapping[int, float]],
) -> None:
    """Draws the perplexities of several runs of each name over the passes, and points of others.

    The axis is logarithmic in the perplexity minus 1, so that 1.001 and 1.01 are apart.
    """
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for color, (name, runs) in zip(COLORS, curves.items(), strict=False):
        for number, curve in enumerate(runs):
            label = name if number == 0 else None
            above = np.maximum(np.array(curve) - 1, _CLOSEST)
            axes.plot(range(1, len(curve) + 1), above, color=color, lw=1.2, label=label)
        epochs, values = list(points[name]), np.array(list(points[name].values()))
        axes.plot(epochs, values - 1, "o", color=color, mfc="white", ms=7, mew=1.6)
    axes.plot(
        [], [], "o", color="#666666", mfc="white", ms=7, mew=1.6, label="the source's numbers"
    )
    axes.set_yscale("log")
    axes.set_yticks([tick - 1 for tick in _NEAR_ONE], [f"{tick:,.6g}" for tick in _NEAR_ONE])
    axes.set_yticks([], minor=True)
    axes.set(xlabel="pass over the text", xlim=(0, None), title="Perplexity of training")
    finish_axes(axes)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=130)


_CLOSEST = 1e-5
_NEAR_ONE = (1.00001, 1.0001, 1.001, 1.01, 1.1, 2, 11, 101, 1001)


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


def plot_sides(
    path: pathlib.Path,
    jacobians: Mapping[str, np.ndarray],
    perplexities: Mapping[str, Sequence[float]],
) -> None:
    """Draws on which characters each prediction depends, and the perplexities as bars.

    Entries of a Jacobian that are exactly zero stay white. A frame stands around the entries of
    the character that is predicted.
    """
    figure = Figure(figsize=(13, 7.6), layout="constrained")
    figure.suptitle(
        "What a prediction depends on (white: exactly not); framed is the character predicted"
    )
    grid = figure.add_gridspec(2, len(jacobians), height_ratios=(1.25, 1))
    highest = max(jacobian.max() for jacobian in jacobians.values())
    lowest = highest * 1e-6
    norm = LogNorm(vmin=lowest, vmax=highest)
    for column, (title, jacobian) in enumerate(jacobians.items()):
        axes = figure.add_subplot(grid[0, column])
        _plot_jacobian(axes, title, np.where(jacobian > 0, np.maximum(jacobian, lowest), 0), norm)
    figure.colorbar(
        ScalarMappable(norm, "Blues"), ax=figure.axes, shrink=0.8, label="norm of the gradient"
    )
    _plot_bars(figure.add_subplot(grid[1, :]), perplexities)
    figure.savefig(path, dpi=130)


def _plot_jacobian(axes: Axes, title: str, jacobian: np.ndarray, norm: LogNorm) -> None:
    size = len(jacobian)
    axes.imshow(np.ma.masked_equal(jacobian, 0), cmap="Blues", norm=norm)
    backward = "backward" in title
    # What the backward direction reads begins at x(2), so that its target stands before the place.
    offset = -1 if backward else 1
    for row in range(size):
        if 0 <= row + offset < size:
            frame = Rectangle((row + offset - 0.5, row - 0.5), 1, 1, fill=False, color="#d94801")
            axes.add_patch(frame)
    axes.set(title=title, xlabel="character read", ylabel="prediction at")
    axes.spines[:].set_visible(False)


def _plot_bars(axes: Axes, perplexities: Mapping[str, Sequence[float]]) -> None:
    names = list(perplexities)[::-1]
    means = [float(np.mean(perplexities[name])) for name in names]
    colors = [COLORS[2] if "leaky" in name else COLORS[0] for name in names]
    axes.barh(names, means, color=colors, height=0.6)
    for place, (name, mean) in enumerate(zip(names, means, strict=True)):
        values = perplexities[name]
        axes.plot(values, [place] * len(values), "|", color="black", ms=9)
        axes.annotate(
            f"{mean:,.4g}",
            (max(values), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xscale("log")
    axes.set(
        xlim=(0.9, max(means) * 3), title="Perplexity a character, on text not read in training"
    )
    finish_axes(axes)


def plot_depths(
    path: pathlib.Path,
    last: Mapping[tuple[Any, int], Sequence[float]],
    curves: Mapping[Any, Sequence[Sequence[float]]],
    depth: int,
) -> None:
    """Draws perplexity against depth, and over the passes for every change at one depth."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
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
    left.set(xlabel="layers", title="Perplexity of training against depth")
    left.set_xticks(sorted({number for _, number in last}))
    for change, runs in curves.items():
        for number, curve in enumerate(runs):
            label = _CHANGES[change] if number == 0 else None
            passes = range(1, len(curve) + 1)
            right.plot(passes, curve, color=_COLOR_OF[change], lw=1.3, label=label)
    right.set(xlabel="pass over the text", title=f"{depth} layers, one change at a time")
    for axes in (left, right):
        log_axis(axes)
        finish_axes(axes)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)


_CHANGES = {
    "plain": "plain",
    "residual": "residual connections",
    "layer_norm": "layer norm",
    "orthogonal": "orthogonal, gate by gate",
    "all": "all three",
}
_COLOR_OF = dict(zip(_CHANGES, (COLORS[2], *COLORS[3:6], COLORS[0]), strict=True))
