"""Padded batches of sequences of similar length, as a grain pipeline that can stop and go on.

Batch i is a pure function of (seed, i): nothing but i has to be remembered. Sequences are sorted
into a few buckets by length, and a batch of a bucket holds `tokens_per_batch` steps, padding
included: few shapes, so few compilations, and the same work in every batch.
"""

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import grain
import jax
import numpy as np

# Arrays `[T, ...]` of one sequence, all with the same T, and numbers `[]` of all of it.
Example = Mapping[str, np.ndarray]
# The same, padded and stacked to `[B, T, ...]`, numbers to `[B]`; lengths, rows `[B]`.
Batch = dict[str, np.ndarray]
_BUCKET_STEP = 4


class Share(NamedTuple):
    """Which rows of every batch a process reads."""

    process: int = 0
    processes: int = 1
    pieces: int = 1  # equal pieces into which all processes together cut a batch
    axis: int = 0  # where leaves have their rows; those with fewer axes belong to every piece


class Source(Protocol):
    """Batches by their number: what the runner reads."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any:
        """Batch `index`, always the same: arrays of the host."""
        ...


def bucket_lengths(lengths: Sequence[int], num_buckets: int) -> tuple[int, ...]:
    """Chooses up to `num_buckets` padded lengths, multiples of 4, that need the least padding.

    Example:
      >>> bucket_lengths([3, 4, 5, 6, 20], 2)
      (8, 20)
    """
    ends = sorted({-(-length // _BUCKET_STEP) * _BUCKET_STEP for length in lengths})
    below = np.searchsorted(np.sort(lengths), ends, side="right")  # sequences up to each end
    # plans[j]: the fewest padded steps for all sequences up to ends[j], and the buckets for it.
    plans = [(int(below[j]) * ends[j], (ends[j],)) for j in range(len(ends))]
    for _ in range(num_buckets - 1):
        plans = [
            min([plans[j]] + [_extended(plans[i], below[j] - below[i], ends[j]) for i in range(j)])
            for j in range(len(ends))
        ]
    return plans[-1][1]


def _extended(plan: tuple[int, tuple[int, ...]], rows: int, end: int) -> tuple:
    steps, buckets = plan
    return steps + int(rows) * end, (*buckets, end)


def bucket_of(length: int, buckets: Sequence[int]) -> int:
    """The padded length for a sequence; beyond the last bucket, the next multiple of it."""
    fitting = [bucket for bucket in buckets if length <= bucket]
    return fitting[0] if fitting else -(-length // buckets[-1]) * buckets[-1]


def num_steps(example: Example) -> int:
    """The length T of an example."""
    return next(len(array) for array in example.values() if array.ndim)


def pad(
    examples: Sequence[Example], rows: Sequence[int] | np.ndarray, *, size: int, length: int
) -> Batch:
    """Stacks the examples `rows` into a batch of `size` rows of `length` steps.

    Rows beyond the examples are sequences of length 0. `batch["rows"]` says which example a row is.
    """
    chosen = [examples[row] for row in rows]
    batch = {
        name: np.zeros([size, length, *array.shape[1:]] if array.ndim else [size], array.dtype)
        for name, array in examples[0].items()
    }
    batch["lengths"] = np.zeros([size], np.int32)
    batch["rows"] = np.full([size], -1, np.int32)
    batch["rows"][: len(rows)] = rows
    for i, example in enumerate(chosen):
        batch["lengths"][i] = num_steps(example)
        for name, array in example.items():
            batch[name][i, *(slice(n) for n in array.shape[:1])] = array
    return batch


class Batches:
    """Batches of `epochs` passes over the examples: `self[i]` is batch i, `len(self)` their number.

    Every example comes once in each pass. `seed=None` keeps the examples in order of length.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        buckets: Sequence[int],
        tokens_per_batch: int,
        epochs: int = 1,
        seed: int | None = None,
    ):
        """Keeps the examples; a bucket longer than `tokens_per_batch` gets batches of one row."""
        self._examples = examples
        self._tokens_per_batch = tokens_per_batch
        self._epochs = epochs
        self._seed = seed
        lengths = [num_steps(example) for example in examples]
        padded = np.array([bucket_of(length, buckets) for length in lengths])
        order = np.argsort(lengths, kind="stable")
        self._buckets = {int(n): order[padded[order] == n] for n in np.unique(padded)}
        self.per_epoch = sum(
            -(-len(rows) // self._size(bucket)) for bucket, rows in self._buckets.items()
        )
        self._plan = functools.lru_cache(maxsize=2)(self._make_plan)
        self._share = Share()

    def shared(self, share: Share) -> "Batches":
        """The same batches, of which only a share of the rows is read.

        Rows of length 0 are added to a batch that cannot be cut evenly.
        """
        copied = copy.copy(self)
        copied._share = share
        return copied

    def __len__(self) -> int:
        return self._epochs * self.per_epoch

    def __getitem__(self, index: int) -> Batch:
        epoch, place = divmod(int(index), self.per_epoch)
        bucket, rows = self._plan(epoch)[place]
        process, processes, pieces, _ = self._share
        size = -(-self._size(bucket) // pieces) * pieces // processes
        mine = rows[process * size : (process + 1) * size]
        return pad(self._examples, mine, size=size, length=bucket)

    def _size(self, bucket: int) -> int:
        return max(1, self._tokens_per_batch // bucket)

    def _make_plan(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """The batches of one pass: padded length and examples."""
        shuffle = self._seed is not None
        rng = np.random.default_rng([self._seed or 0, epoch])
        plan = []
        for bucket, rows in self._buckets.items():
            rows = rng.permutation(rows) if shuffle else rows
            size = self._size(bucket)
            plan += [(bucket, rows[i : i + size]) for i in range(0, len(rows), size)]
        return [plan[i] for i in rng.permutation(len(plan))] if shuffle else plan


class Shared:
    """A share of the rows of each batch of any source, cut out of it."""

    def __init__(self, source: Source, share: Share):
        """Takes a source whose batches can be cut evenly."""
        self._source, self._share = source, share

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Any:
        return jax.tree.map(self._cut, self._source[index])

    def _cut(self, leaf: np.ndarray) -> np.ndarray:
        process, processes, pieces, axis = self._share
        if np.ndim(leaf) <= axis:
            return leaf
        rows = leaf.shape[axis]
        if rows % pieces:
            raise ValueError(
                f"A batch has {rows} rows, which cannot be shared evenly in {pieces} pieces, one "
                "for each turn of each device: give a batch size that is a multiple of that."
            )
        size = rows // processes
        return leaf.take(range(process * size, (process + 1) * size), axis)


def shared(source: Source, share: Share) -> Source:
    """What a process reads of a source."""
    if share.pieces == 1:
        return source
    return source.shared(share) if isinstance(source, Batches) else Shared(source, share)


def prefetched(batches: Source) -> grain.DatasetIterator:
    """Iterates in order, batches being made by a thread ahead of time.

    The iterator has `get_state()` and `set_state(state)`; a state is a JSON value that names the
    next batch, whatever was made ahead.
    """
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=8)
    return iter(grain.MapDataset.source(cast(Any, batches)).to_iter_dataset(options))
