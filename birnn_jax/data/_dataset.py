"""Batches by their number, as a `grain.MapDataset`, and a thread that makes them ahead."""

import abc
import copy
import math
from typing import Any, Generic, NamedTuple, Self, TypeVar, cast, overload

import grain

from .._core.checks import as_size
from ._source import Examples, Recent, Source

B = TypeVar("B")
_BUFFER = 8  # batches made ahead


class _Share(NamedTuple):
    """Which rows of every batch are made."""

    place: int = 0
    shares: int = 1
    multiple: int = 1  # rows of a batch are a multiple of this

    def whole(self, size: int) -> int:
        """The rows of a whole batch: `size`, and empty ones."""
        return -(-size // self.multiple) * self.multiple

    def cut(self, size: int) -> slice:
        """The rows of this share in a batch of `size`."""
        mine = self.whole(size) // self.shares
        return slice(self.place * mine, (self.place + 1) * mine)


class BatchDataset(grain.MapDataset[B], Generic[B]):
    """Batches of ragged examples: `dataset[i]` is batch i of a training, for every i >= 0.

    A batch is a function of the seed and i. `len(dataset)` is the number of batches in one epoch,
    epoch `i // len(dataset)` has its own random order. Everything of `grain.MapDataset` works:
    `.repeat(10)`, `.map(f)`, `dataset[100:]`; an iterator has `get_state()` and `set_state(state)`.
    """

    def __init__(self, examples: Examples[Any], seed: int | None):
        """Takes the examples, and the seed of their order."""
        super().__init__()
        self._examples = examples
        self._seed = None if seed is None else as_size("seed", seed, least=0)
        self._share = _Share()
        self._plan = Recent(self._make_plan)
        self._num_batches = self._count(self._plan(0))

    def __len__(self) -> int:
        return self._num_batches

    @overload
    def __getitem__(self, index: slice) -> grain.MapDataset[B]: ...

    @overload
    def __getitem__(self, index: int) -> B: ...

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.slice(index)
        if index < 0:
            raise IndexError(f"Batches are numbered from 0, got {index}.")
        epoch, place = divmod(int(index), self._num_batches)
        plan = self._plan(epoch)
        if self._count(plan) != self._num_batches:
            raise ValueError(
                f"Epoch {epoch} has {self._count(plan)} batches, epoch 0 has {self._num_batches}, "
                "because the lengths of the examples are others. Give batch_size of padded_batches."
            )
        return self._make_batch(epoch, place)

    def shard(self, index: int, count: int, *, row_multiple: int = 1) -> Self:
        """The same batches, of which only a share of the rows is made: for several processes.

        The shares of all `count` processes, one below the other, are the whole batches.

        Args:
          index: of this process, such as `jax.process_index()`.
          count: of processes, such as `jax.process_count()`.
          row_multiple: empty rows are added until the rows of a whole batch are a multiple of this,
            such as the number of devices, and of `count`.

        Raises:
          ValueError: if index is not below count.
        """
        count = as_size("count", count)
        if not as_size("index", index, least=0) < count:
            raise ValueError(f"index must be below count={count}, got {index}.")
        shared = copy.copy(self)
        multiple = math.lcm(as_size("row_multiple", row_multiple), count)
        shared._share = _Share(index, count, multiple)
        return shared

    @property
    @abc.abstractmethod
    def padding_share(self) -> float:
        """The share of steps that are padding in an epoch, from 0 to 1."""

    @abc.abstractmethod
    def _make_plan(self, epoch: int) -> Any:
        """Which examples are in which batch."""

    @abc.abstractmethod
    def _count(self, plan: Any) -> int:
        """The batches of a plan."""

    @abc.abstractmethod
    def _make_batch(self, epoch: int, place: int) -> B:
        """A batch of an epoch, of which this share of the rows is made."""


def prefetch(source: Source[B], *, start_step: int = 0) -> grain.DatasetIterator[B]:
    """Iterates over batches in order; a thread makes the next eight ahead of time.

    Args:
      source: a dataset of this module or of grain, or whatever has a length and gives batch i.
      start_step: number of the first batch, to resume a training after so many steps.

    Returns:
      An iterator. Its `get_state()` is a JSON value that names the next batch, whatever was made
      ahead; `set_state(state)` goes there.

    Example:
      >>> from birnn_jax.data import padded_batches, prefetch
      >>> batches = padded_batches([[3, 1], [4], [1, 5, 9]], batch_size=2, seed=0)
      >>> rest = [batch.rows.tolist() for batch in prefetch(batches.repeat(2), start_step=3)]
      >>> rest == [batches[3].rows.tolist()]
      True
    """
    known = isinstance(source, grain.MapDataset)
    dataset = source if known else grain.MapDataset.source(cast(Any, source))
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_BUFFER)
    iterator = cast(Any, iter(dataset.to_iter_dataset(options)))
    if start_step:
        iterator.set_state({"next_index": as_size("start_step", start_step, least=0)})
    return iterator
