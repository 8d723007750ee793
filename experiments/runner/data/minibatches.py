"""Minibatches of items of similar length, which may be drawn anew in each pass.

Minibatch i is a pure function of (seed, i): nothing but i has to be remembered. All have as many
rows. Examples that stay the same, and have one length, are better off in `batches.Batches`: as many
rows as fit a number of steps, of lengths that are known from the beginning.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Minibatch = dict[str, np.ndarray]


class Minibatches:
    """Minibatches of `epochs` passes: `self[i]` is minibatch i.

    Beside what `pad` makes, a minibatch has `rows` `[B]`, the item of each row, -1 behind
    the last, and `progress` `[]`, the share of all minibatches that lies behind.
    """

    def __init__(
        self,
        draw: Callable[[int], Sequence[Any]],
        *,
        length: Callable[[Any], int],
        pad: Callable[[Sequence[Any], int], Minibatch],
        batch_size: int,
        epochs: int = 1,
        seed: int | None = None,
    ):
        """Takes what decides on the minibatches.

        Args:
          draw: gives the items of a pass, as many in each.
          length: of an item.
          pad: stacks items to arrays of so many rows.
          batch_size: rows of a minibatch; the last of a pass may lack some.
          epochs: passes.
          seed: of order and company; None keeps items in order of length.
        """
        self._draw = functools.lru_cache(maxsize=2)(draw)
        self._length = length
        self._pad = pad
        self._batch_size = batch_size
        self._epochs = epochs
        self._seed = seed
        self.per_epoch = -(-len(self._draw(0)) // batch_size)
        self._groups = functools.lru_cache(maxsize=2)(self._make_groups)

    def __len__(self) -> int:
        return self._epochs * self.per_epoch

    def __getitem__(self, index: int) -> Minibatch:
        epoch, place = divmod(int(index), self.per_epoch)
        items, rows = self._draw(epoch), self._groups(epoch)[place]
        padded_rows = np.full([self._batch_size], -1, np.int32)
        padded_rows[: len(rows)] = rows
        batch = self._pad([items[row] for row in rows], self._batch_size)
        return {**batch, "rows": padded_rows, "progress": np.array(index / len(self), np.float32)}

    def _make_groups(self, epoch: int) -> list[np.ndarray]:
        """The rows of each minibatch of a pass."""
        lengths = np.array([self._length(item) for item in self._draw(epoch)], float)
        if self._seed is None:
            return self._cut(np.argsort(lengths, kind="stable"))
        rng = np.random.default_rng([self._seed, epoch, 1])
        lengths *= rng.uniform(0.9, 1.1, len(lengths))  # other company in each pass
        groups = self._cut(np.argsort(lengths, kind="stable"))
        return [groups[i] for i in rng.permutation(len(groups))]

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        return np.split(order, range(self._batch_size, len(order), self._batch_size))


def padded_length(length: int, unit: int) -> int:
    """The shortest of unit, 2 unit, 4 unit, ... that fits: few lengths, so few compilations.

    Example:
      >>> [padded_length(length, 30) for length in (1, 30, 31, 70)]
      [30, 30, 60, 120]
    """
    padded = unit
    while padded < length:
        padded *= 2
    return padded
