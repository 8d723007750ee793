"""Figures begin and end here.

Matplotlib, which takes a second to import, waits for the first of them: commands that draw nothing
begin sooner.
"""

import pathlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """A figure of so many inches, whose parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_picture(figure: "Figure", path: pathlib.Path, *, dpi: int = 150) -> None:
    """Saves a figure as `saving.save_picture` does."""
    from experiments.runner.pictures import saving

    saving.save_picture(figure, path, dpi=dpi)
