"""Pictures of translators: where they look, and what the length of a sentence does to them."""

import pathlib
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure

from experiments.bilingual.scores import OfLength
from experiments.runner.style import BLUE, GREEN, GREY, VERMILION, label_lines, median_line, tidy

_COLORS = {"additive": BLUE, "multiplicative": GREEN, "none": VERMILION}
_NAMES = {"additive": "additive", "multiplicative": "multiplicative", "none": "fixed vector"}


class Alignment(NamedTuple):
    """What the decoder looked at while it wrote each subword."""

    source: Sequence[str]
    target: Sequence[str]
    weights: np.ndarray  # [N, T]


def plot_alignments(path: pathlib.Path, alignments: Sequence[Alignment]) -> bool:
    """Draws weights of attention: a row for each subword written, a column for each one read.

    Returns:
      Whether a font of this machine has every character.
    """
    columns = min(2, len(alignments))
    rows = -(-len(alignments) // columns)
    figure = Figure(figsize=(5.2 * columns, 4.2 * rows), layout="constrained")
    font = font_manager.FontProperties(family=_families())
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    image = None
    for axes, one in zip(panels, alignments, strict=False):
        image = axes.imshow(one.weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        options = {"fontproperties": font, "fontsize": 9}
        axes.set_xticks(
            range(len(one.source)), _shown(one.source), rotation=60, ha="left", **options
        )
        axes.set_yticks(range(len(one.target)), _shown(one.target), **options)
        axes.xaxis.set_ticks_position("top")
        axes.tick_params(length=0)
        axes.spines[:].set_color(GREY)
    for axes in panels[len(alignments) :]:
        axes.set_visible(False)
    if image is not None:
        figure.colorbar(image, ax=figure.axes, shrink=0.4, label="weight; each row adds up to 1")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure.savefig(path, dpi=150)
    return not any("missing from" in str(one.message) for one in caught)


def plot_lengths(path: pathlib.Path, groups: Mapping[str, Sequence[Sequence[OfLength]]]) -> None:
    """Draws BLEU over the length of the source, for the runs of each kind of attention."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    ends = []
    for kind, runs in groups.items():
        lengths = [one.length for one in runs[0]]
        bleus = np.array([[one.bleu for one in run] for run in runs])
        end = median_line(axes, lengths, bleus, _COLORS[kind], "o-")
        ends.append((*end, _NAMES[kind], _COLORS[kind]))
    axes.set(
        title="BLEU by the length of the source sentence",
        xlabel="words of the source, mean of a class of sentences",
        ylabel="BLEU",
        ylim=(0, None),
    )
    tidy(axes)
    label_lines(axes, ends)
    figure.savefig(path, dpi=150)


def _shown(pieces: Sequence[str]) -> list[str]:
    """Subwords as words, "_" for the space before them."""
    return [piece.replace("▁", "_") for piece in pieces]


def _families() -> list[str]:
    """Fonts to look for characters in: the usual one, then those with Chinese and Japanese."""
    installed = {font.name for font in font_manager.fontManager.ttflist}
    wanted = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei")
    wanted += ("WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "SimHei")
    wanted += ("Droid Sans Fallback", "Arial Unicode MS")
    return ["DejaVu Sans", *(name for name in wanted if name in installed)]
