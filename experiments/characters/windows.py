"""Minibatches of windows of a text, drawn at random or adjacent to one another.

A minibatch is {"inputs": [B, T], "labels": [B, T], "rows": [B], "fresh": []}: the label is the next
character, and `fresh` says that the state begins anew. Minibatch i is a pure function of (seed, i).
"""

import functools
from typing import Literal

import numpy as np

Sampling = Literal["adjacent", "random"]
Minibatch = dict[str, np.ndarray]


class Windows:
    """Minibatches of `epochs` passes over a text: `self[i]` is minibatch i.

    Adjacent: the text is cut into B rows, and a row of a minibatch goes on where the same row of
    the minibatch before it stopped; the state begins anew with each pass. Random: windows come in
    any order, once a pass, and the state begins anew with each. What does not fill the last
    minibatch of a pass is left out.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        *,
        steps: int,
        batch_size: int,
        sampling: Sampling,
        epochs: int = 1,
        seed: int = 0,
    ):
        """Takes tokens `[N]`.

        Raises:
          ValueError: if the text does not fill one minibatch.
        """
        needed = batch_size * steps + 1
        if len(tokens) < needed:
            raise ValueError(
                f"The text to train on has {len(tokens):,} characters, but a minibatch of "
                f"{batch_size} windows of {steps} takes {needed:,}: give a smaller --batch-size "
                "or --steps, or more text."
            )
        self._tokens = tokens
        self._steps = steps
        self._batch_size = batch_size
        self._sampling = sampling
        self._epochs = epochs
        self._seed = seed
        self.per_epoch = (len(tokens) - 1) // batch_size // steps
        if sampling == "random":
            self.per_epoch = (len(tokens) - 1) // steps // batch_size
        self._order = functools.lru_cache(maxsize=2)(self._make_order)

    def __len__(self) -> int:
        return self._epochs * self.per_epoch

    def __getitem__(self, index: int) -> Minibatch:
        epoch, place = divmod(int(index), self.per_epoch)
        size = self._batch_size
        if self._sampling == "random":
            starts = self._order(epoch)[place * size : (place + 1) * size] * self._steps
            return self._cut(starts, fresh=True)
        row_length = (len(self._tokens) - 1) // size
        return self._cut(np.arange(size) * row_length + place * self._steps, fresh=place == 0)

    def _cut(self, starts: np.ndarray, *, fresh: bool) -> Minibatch:
        window = starts[:, None] + np.arange(self._steps)
        return {
            "inputs": self._tokens[window],
            "labels": self._tokens[window + 1],
            "rows": np.arange(len(starts), dtype=np.int32),
            "fresh": np.array(fresh),
        }

    def _make_order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, epoch])
        return rng.permutation((len(self._tokens) - 1) // self._steps)


class Whole:
    """Every character of a text but the first, to be predicted once, in one batch.

    Its windows are adjacent. Its leaves have an axis in front, the windows of each row in order;
    `lengths` says how much there is of each window.
    """

    def __init__(self, tokens: np.ndarray, *, steps: int, batch_size: int):
        """Takes tokens `[N]`, two or more."""
        predicted = len(tokens) - 1
        row_length = -(-predicted // batch_size)
        windows = -(-row_length // steps)
        starts = np.arange(batch_size) * row_length
        ends = np.minimum(starts + row_length, predicted)
        first = starts[None] + np.arange(windows)[:, None] * steps  # [windows, B]
        places = np.minimum(first[..., None] + np.arange(steps), predicted - 1)
        self._batch = {
            "inputs": tokens[places],
            "labels": tokens[places + 1],
            "fresh": np.arange(windows) == 0,
            "lengths": np.clip(ends - first, 0, steps).astype(np.int32),
        }

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Minibatch:
        if index != 0:
            raise IndexError(index)
        return self._batch
