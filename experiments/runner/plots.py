"""Pictures of a run: learning curves, and which label is taken for which."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

_TRAIN, _DEV, _BASELINE = "#9ecae1", "#08519c", "#888888"
_SMOOTHED = 50  # points of the smoothed training curve
_CROWDED = 25  # labels, above which a confusion matrix shows the most frequent ones only

Records = Sequence[Mapping[str, Any]]


def plot_curves(
    path: pathlib.Path,
    records: Records,
    baselines: Mapping[str, float],
    *,
    metric: str = "accuracy",
    title: str = "Words right",
    of: str = "word",
) -> None:
    """Draws loss and a metric over the steps, with a line at the metric of each baseline."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plot_metric(left, records, "loss")
    left.set(title=f"Loss, nats a {of}", yscale="log")
    left.legend(frameon=False)
    _plot_metric(right, records, metric)
    right.set_title(title)
    for name, value in baselines.items():
        _plot_baseline(right, name, value)
    lowest = min([*baselines.values(), *_column(_of(records, "dev"), metric)[-1:]])
    right.set_ylim(max(0.0, lowest - 0.1), 1.0)
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in (left, right):
        axes.set(xlabel="step", xlim=(0, None))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.savefig(path, dpi=150)


def plot_comparison(
    path: pathlib.Path,
    groups: Mapping[str, Sequence[Records]],
    *,
    title: str,
    metric: str = "accuracy",
) -> None:
    """Draws a metric on dev over the steps: a line for each run, a colour for each group."""
    figure = Figure(figsize=(6.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for number, (label, runs) in enumerate(groups.items()):
        color = f"C{number}"
        for records in runs:
            dev = _of(records, "dev")
            axes.plot(_column(dev, "step"), _column(dev, metric), "o-", color=color, ms=3)
        last = [_column(_of(records, "dev"), metric)[-1] for records in runs]
        axes.plot([], [], "o-", color=color, label=f"{label}: {np.mean(last):.1%}")
    axes.set(xlabel="step", xlim=(0, None), title=title)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(path, dpi=150)


def plot_confusion(
    path: pathlib.Path, gold: Sequence[str], predicted: Sequence[str], *, items: str = "words"
) -> None:
    """Draws how often each label (row) is taken for each other (column): shares and counts."""
    labels, counts = _confusion(gold, predicted)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals[:, None], 1)
    size = 2.5 + 0.45 * len(labels)
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="left", rotation_mode="anchor")
    rows = [f"{label}  {total:,}" for label, total in zip(labels, totals, strict=True)]
    axes.set_yticks(range(len(labels)), rows)
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("top")
    axes.set(xlabel="predicted", ylabel=f"right, with the number of {items}")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.4 else "black"
        text = f"{shares[row, column]:.0%}\n{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=color)
    bar = figure.colorbar(image, ax=axes, shrink=0.5, label="share of the row")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    figure.savefig(path, dpi=150)


def _confusion(gold: Sequence[str], predicted: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Labels, the most frequent first, and counts; rare labels of many become "others"."""
    names, frequency = np.unique([*gold, *predicted], return_counts=True)
    ordered = [str(name) for name in names[np.argsort(-frequency, kind="stable")]]
    labels = ordered if len(ordered) <= _CROWDED else [*ordered[: _CROWDED - 1], "others"]
    place = {name: min(i, len(labels) - 1) for i, name in enumerate(ordered)}
    counts = np.zeros([len(labels), len(labels)], int)
    np.add.at(counts, ([place[tag] for tag in gold], [place[tag] for tag in predicted]), 1)
    return labels, counts


def _plot_metric(axes: Axes, records: Records, name: str) -> None:
    train, dev = (
        [record for record in _of(records, split) if name in record] for split in ("train", "dev")
    )
    size = max(1, len(train) // _SMOOTHED)
    groups = [train[i : i + size] for i in range(0, len(train), size)]
    steps = [np.mean(_column(group, "step")) for group in groups]
    values = [np.mean(_column(group, name)) for group in groups]
    axes.plot(steps, values, color=_TRAIN, label="training, with dropout")
    axes.plot(
        _column(dev, "step"), _column(dev, name), color=_DEV, marker="o", markersize=4, label="dev"
    )


def _plot_baseline(axes: Axes, name: str, value: float) -> None:
    axes.axhline(value, color=_BASELINE, linestyle="--", linewidth=1)
    axes.annotate(
        f"{name} {value:.1%}",
        (0.98, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=_BASELINE,
    )


def _of(records: Records, split: str) -> Records:
    return [record for record in records if record["split"] == split]


def _column(records: Records, name: str) -> list[float]:
    return [record[name] for record in records]
