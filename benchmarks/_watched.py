"""Memory and time of a long training, noted while it reads its batches."""

import pathlib
import time
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.runner.data.batches import Source


class Watched:
    """A source that notes time and memory now and then; items are read a few steps ahead."""

    def __init__(self, source: Source, every: int):
        self._source, self._every = source, every
        self.samples: list[tuple[int, float, float]] = []
        self._last = time.process_time()

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Any:
        if index and index % self._every == 0:
            now = time.process_time()
            self.samples.append((index, (now - self._last) / self._every, _resident()))
            self._last = now
        return self._source[index]


def _resident() -> float:
    """Megabytes of this process."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def plot_steps(path: pathlib.Path, steps: np.ndarray, ms: np.ndarray, sizes: np.ndarray) -> None:
    """Draws both over the steps."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, values, title in zip(
        panels, (ms, sizes), ("Processor time of a step, ms", "Resident memory, MB"), strict=True
    ):
        axes.plot(steps, values, "o-", ms=3)
        axes.set(title=title, xlabel="step", ylim=(0, 1.3 * values.max()))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
