"""How pictures look: colours that the colour-blind can tell apart, labels beside their lines."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito, Color Universal Design, 2008.
VERMILION, BLUE, GREEN = "#D55E00", "#0072B2", "#009E73"
ORANGE, PURPLE, SKY = "#E69F00", "#CC79A7", "#56B4E9"
GREY = "#777777"


def tidy(axes: "Axes") -> None:
    """Takes away what carries no meaning, and gives the eye faint lines to go along."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, which="major")


def literal(text: str) -> str:
    r"""A text of the user's that is drawn as it is: between two dollars matplotlib sees a formula.

    Example:
      >>> print(literal("PRP$"))
      PRP\$
    """
    return text.replace("$", r"\$")


def label_lines(axes: "Axes", ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Writes the names of lines that end at `(x, y, name, color)` to their right.

    Axes must have their limits and scales. Names keep a distance, as shares of the height.
    """
    to_share = axes.transData + axes.transAxes.inverted()
    shares = np.array([to_share.transform((x, y)) for x, y, _, _ in ends])
    for (_, _, name, color), height in zip(ends, spread(shares[:, 1]), strict=True):
        axes.annotate(
            name,
            (shares[:, 0].max(), height),
            xytext=(5, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            color=color,
            va="center",
            fontsize=9,
        )


def spread(heights: np.ndarray, gap: float = 0.06) -> np.ndarray:
    """Moves neighbours apart that are closer than `gap`, and no others.

    Example:
      >>> spread(np.array([0.5, 0.1, 0.5]), gap=0.2).round(2).tolist()
      [0.4, 0.1, 0.6]
    """
    order = np.argsort(heights, kind="stable")
    moved = np.array(heights, float)[order]
    for _ in range(100):
        missing = np.maximum(gap - np.diff(moved), 0) / 2
        moved[:-1] -= missing
        moved[1:] += missing
    result = np.empty_like(moved)
    result[order] = moved
    return result


def median_line(
    axes: "Axes", xs: Sequence[float], runs: np.ndarray, color: str, style: str = "-"
) -> tuple[float, float]:
    """Draws the median of the rows of `runs`, each row as a faint line; gives the median's end."""
    middle = np.median(runs, axis=0)
    axes.plot(xs, np.transpose(runs), style, color=color, lw=0.8, alpha=0.45)
    axes.plot(xs, middle, style, color=color, lw=2)
    return float(xs[-1]), float(middle[-1])
