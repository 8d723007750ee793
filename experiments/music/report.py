"""Pictures of piano rolls."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.music.midi import KEYS, LOWEST
from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import BLUE, GREY, VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_OCTAVE = 12
_MARGIN = 3  # keys above and below what sounds


class Strip(NamedTuple):
    """One piano roll and its parts."""

    title: str
    roll: np.ndarray  # [T, 88]
    made: np.ndarray | None = None  # [T, 88] bool, notes that a model made
    wrong: np.ndarray | None = None  # [T, 88] bool, those of them that are not in the piece
    frames: tuple[int, int] | None = None  # a stretch to mark


def plot_rolls(path: pathlib.Path, strips: Sequence[Strip], made: str) -> None:
    """Draws piano rolls below one another; `made` says what the notes are that a model made."""
    from matplotlib.patches import Patch

    lowest, highest = _range(strips)
    frames = max(len(strip.roll) for strip in strips)
    size = (min(16, 3 + 0.12 * frames), 0.5 + 2.6 * len(strips))
    figure = new_figure(*size)
    rows = figure.subplots(len(strips), 1, sharex=True, squeeze=False)[:, 0]
    for axes, strip in zip(rows, strips, strict=True):
        _plot_strip(axes, strip, lowest, highest)
    rows[-1].set_xlabel("frame")
    names = {"given": GREY, made: BLUE}
    if any(strip.wrong is not None for strip in strips):
        names["filled in otherwise"] = VERMILION
    handles = [Patch(color=color, label=name) for name, color in names.items()]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False, fontsize=9)
    save_picture(figure, path)


def _range(strips: Sequence[Strip]) -> tuple[int, int]:
    sounding = np.flatnonzero(np.concatenate([strip.roll for strip in strips]).any(axis=0))
    if not len(sounding):
        return 0, KEYS
    return max(0, sounding[0] - _MARGIN), min(KEYS, sounding[-1] + _MARGIN + 1)


def _plot_strip(axes: "Axes", strip: Strip, lowest: int, highest: int) -> None:
    from matplotlib.colors import to_rgba

    colors = np.zeros([highest - lowest, len(strip.roll), 4])
    for notes, color in ((strip.roll > 0, GREY), (strip.made, BLUE), (strip.wrong, VERMILION)):
        if notes is not None:
            colors[notes[:, lowest:highest].T] = to_rgba(color)
    extent = (0, len(strip.roll), lowest + LOWEST - 0.5, highest + LOWEST - 0.5)
    if strip.frames:
        axes.axvspan(*strip.frames, color=BLUE, alpha=0.1, lw=0)
    axes.imshow(
        colors, aspect="auto", origin="lower", interpolation="none", extent=extent, zorder=2
    )
    octaves = [note for note in range(_OCTAVE, 128, _OCTAVE) if lowest <= note - LOWEST < highest]
    axes.set_yticks(octaves, [f"C{note // _OCTAVE - 1}" for note in octaves])
    axes.grid(axis="y", alpha=0.4)
    axes.set_ylabel("pitch")
    axes.set_title(strip.title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
