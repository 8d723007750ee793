"""Batches of windows: what is shown, and what is wanted."""

import functools

import numpy as np

from experiments.imputation.windows import Windows
from experiments.runner.batches import Batch


class TrainingBatches:
    """Batches of `epochs` passes: `self[i]` is batch i, a function of (seed, i).

    Everything that is seen is wanted too, since a model estimates a value before it reads it; a
    share of it is concealed, afresh in each batch. A window begins where the part was cut or, with
    `anywhere`, up to a window's length later. What does not fill the last batch of a pass is left
    out, unless it is the only one.
    """

    def __init__(
        self,
        windows: Windows,
        *,
        size: int,
        epochs: int,
        concealed: float,
        anywhere: bool,
        seed: int,
    ):
        """Takes the windows of the training part."""
        count, self._steps, features = windows.values.shape
        self._values = windows.values.reshape(-1, features)
        self._seen = windows.seen.reshape(-1, features)
        self._size = min(size, count)
        self._count = count
        self._epochs = epochs
        self._concealed = concealed
        self._anywhere = anywhere
        self._seed = seed
        self.per_epoch = count // self._size
        self._starts = functools.lru_cache(maxsize=2)(self._make_starts)

    def __len__(self) -> int:
        return self._epochs * self.per_epoch

    def __getitem__(self, index: int) -> Batch:
        epoch, place = divmod(int(index), self.per_epoch)
        starts = self._starts(epoch)[place * self._size : (place + 1) * self._size]
        rows = starts[:, None] + np.arange(self._steps)
        rng = np.random.default_rng([self._seed, epoch, place])
        seen = self._seen[rows]
        shown = seen & (rng.random(seen.shape) >= self._concealed)
        return {"values": self._values[rows], "seen": shown, "wanted": seen}

    def _make_starts(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, epoch])
        starts = rng.permutation(self._count) * self._steps
        if self._anywhere:
            later = starts + rng.integers(0, self._steps, len(starts))
            starts = np.minimum(later, len(self._values) - self._steps)
        return starts


class HiddenBatches:
    """All windows in one batch, of which the hidden values are wanted."""

    def __init__(self, windows: Windows):
        """Takes the windows of a part."""
        self._batch = {
            "values": windows.values,
            "seen": windows.seen,
            "wanted": windows.hidden,
        }

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Batch:
        return self._batch
