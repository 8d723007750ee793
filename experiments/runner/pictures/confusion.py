"""A picture of which label is taken for which."""

import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import literal

_CROWDED = 25  # labels, above which the most frequent ones only are shown


def plot_confusion(
    path: pathlib.Path, gold: Sequence[str], predicted: Sequence[str], *, items: str = "words"
) -> None:
    """Draws how often each label (row) is taken for each other (column): shares and counts."""
    from matplotlib.colors import PowerNorm

    labels, counts = _confusion(gold, predicted)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals[:, None], 1)
    labels = [literal(label) for label in labels]
    size = 2.5 + 0.45 * len(labels)
    figure = new_figure(size + 0.8, size)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="left", rotation_mode="anchor")
    rows = [f"{label}  {total:,}" for label, total in zip(labels, totals, strict=True)]
    axes.set_yticks(range(len(labels)), rows)
    axes.xaxis.set_ticks_position("top")
    axes.xaxis.set_label_position("top")
    axes.set(
        title="Which label is predicted for which",
        xlabel="predicted",
        ylabel=f"right, with the number of {items}",
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.4 else "black"
        text = f"{shares[row, column]:.0%}\n{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6.5, color=color)
    bar = figure.colorbar(image, ax=axes, shrink=0.5, label="share of the row")
    bar.ax.yaxis.set_major_formatter("{x:.0%}")
    save_picture(figure, path)


def _confusion(gold: Sequence[str], predicted: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Labels, the most frequent first, and counts; rare labels of many become "others"."""
    names, frequency = np.unique([*gold, *predicted], return_counts=True)
    ordered = [str(name) for name in names[np.argsort(-frequency, kind="stable")]]
    labels = ordered if len(ordered) <= _CROWDED else [*ordered[: _CROWDED - 1], "others"]
    place = {name: min(i, len(labels) - 1) for i, name in enumerate(ordered)}
    counts = np.zeros([len(labels), len(labels)], int)
    np.add.at(counts, ([place[tag] for tag in gold], [place[tag] for tag in predicted]), 1)
    return labels, counts
