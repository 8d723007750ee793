"""When in a sound a network hears which label: probabilities of CTC over a spectrogram."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.runner.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    tidy,
)

_COLORS = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY)
_SEEN = 0.2  # a label that never gets this probable is not drawn


class Hearing(NamedTuple):
    """One sound, and what networks make of it."""

    spectrogram: np.ndarray  # [T, 26], log power in mel bands every 10 ms
    ends: tuple[float, ...]  # seconds, of the recordings that were joined
    said: tuple[str, ...]
    probabilities: dict[str, np.ndarray]  # [S, 1 + K] for each network by name, the blank in front
    labels: tuple[str, ...]
    shift: float  # seconds of a frame


def plot_posteriors(path: pathlib.Path, hearing: Hearing) -> None:
    """Draws the probabilities of each network, and the spectrogram below them."""
    count = len(hearing.probabilities)
    figure = Figure(figsize=(9, 1.6 + 1.7 * (count + 1)), layout="constrained")
    rows = figure.subplots(count + 1, 1, sharex=True, height_ratios=[1] * count + [1.2])
    seconds = len(hearing.spectrogram) * hearing.shift
    for axes, (name, probabilities) in zip(rows, hearing.probabilities.items(), strict=False):
        _plot_labels(axes, probabilities, hearing, seconds)
        axes.set(title=name, ylabel="probability", ylim=(0, 1.18), yticks=[0, 0.5, 1])
        tidy(axes)
    rows[-1].imshow(
        hearing.spectrogram.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, 0, hearing.spectrogram.shape[1]),
        cmap="magma",
    )
    rows[-1].set(xlabel="seconds", ylabel="mel band", xlim=(0, seconds))
    for end in hearing.ends[:-1]:
        for axes in rows:
            axes.axvline(end, color="white" if axes is rows[-1] else GREY, lw=1, ls=":")
    said = " ".join(hearing.said)
    figure.suptitle(
        f"Said: {said}. Grey: the blank; dotted: where recordings were joined", x=0.01, ha="left"
    )
    figure.savefig(path, dpi=150)


def _plot_labels(axes: Axes, probabilities: np.ndarray, hearing: Hearing, seconds: float) -> None:
    """The blank in grey, and each label that is heard in a colour, named at its peaks."""
    step = seconds / len(probabilities)
    times = (np.arange(len(probabilities)) + 0.5) * step
    axes.fill_between(times, probabilities[:, 0], color=GREY, alpha=0.2, lw=0)
    heard = [k for k in range(1, probabilities.shape[1]) if probabilities[:, k].max() > _SEEN]
    for number, k in enumerate(heard):
        color, values = _COLORS[number % len(_COLORS)], probabilities[:, k]
        axes.plot(times, values, color=color, lw=1.8)
        for peak in _peaks(values):
            axes.annotate(
                hearing.labels[k - 1],
                (times[peak], values[peak]),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                color=color,
                weight="bold",
            )


def _peaks(values: Sequence[float] | np.ndarray) -> list[int]:
    """The highest step of each run of steps at which the label is seen."""
    peaks: list[int] = []
    inside: list[int] = []
    for step, value in enumerate([*values, 0.0]):
        if value > _SEEN:
            inside.append(step)
        elif inside:
            peaks.append(max(inside, key=lambda at: values[at]))
            inside = []
    return peaks
