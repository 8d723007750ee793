"""Sentences with the attention that their words get."""

import pathlib
import warnings
from collections.abc import Sequence

from matplotlib.figure import Figure

from experiments.runner.style import BLUE

_WIDTH = 95  # characters of a line


def plot_attention(
    path: pathlib.Path, sentences: Sequence[tuple[Sequence[str], Sequence[float], str]]
) -> None:
    """Draws words, weights and label of each sentence: the darker a word, the more it weighs."""
    figure = Figure(figsize=(8.8, 0.3 * len(sentences) + 0.4))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.axis("off")
    axes.set(xlim=(-14, _WIDTH + 2), ylim=(len(sentences), -1))
    for line, (words, weights, label) in enumerate(sentences):
        style = {"family": "monospace", "fontsize": 8.5, "va": "center", "parse_math": False}
        axes.text(-13, line, label[:12], color="black", **style)
        place = 0.0
        for word, weight in zip(words, weights, strict=True):
            if place + len(word) > _WIDTH:
                axes.text(place, line, "...", **style)
                break
            box = {"facecolor": BLUE, "alpha": 0.7 * weight / max(weights), "lw": 0, "pad": 1.5}
            axes.text(place, line, word, bbox=box, **style)
            place += len(word) + 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a character that the font lacks is a box
        figure.savefig(path, dpi=150)
