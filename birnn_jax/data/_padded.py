"""Padded batches of examples of similar length."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from .._core.checks import as_size
from ._batch import Batch, stack
from ._buckets import bounds_of, choose_bounds
from ._dataset import BatchDataset
from ._source import Examples, Recent, Source

T = TypeVar("T")


class _Planned(NamedTuple):
    """One batch."""

    rows: np.ndarray  # the examples
    size: int  # rows of the batch
    bounds: np.ndarray  # [G] steps of each ragged leaf


class PaddedBatches(BatchDataset[Batch[T]], Generic[T]):
    """What `padded_batches` returns: `self[i]` is batch i, a `Batch`.

    Example:
      >>> from birnn_jax.data import padded_batches
      >>> batches = padded_batches([[1, 2, 3], [4], [5, 6], [7]], batch_size=2, seed=0)
      >>> len(batches), batches[0].values.shape
      (2, (2, 4))
      >>> [batch.rows.tolist() for batch in batches] != [batches[i].rows.tolist() for i in (2, 3)]
      True
    """

    def __init__(
        self,
        examples: Examples[T],
        *,
        batch_size: int | None,
        tokens_per_batch: int | None,
        buckets: Any,
        seed: int | None,
        drop_remainder: bool,
        length: Callable[[Any], Any] | None,
    ):
        """Takes the settings of `padded_batches`."""
        self._size = as_size("batch_size", 1 if batch_size is None else batch_size)
        self._tokens = tokens_per_batch
        if tokens_per_batch is not None:
            self._tokens = as_size("tokens_per_batch", tokens_per_batch)
        self._drop_remainder = drop_remainder
        self._length = length
        self._key = Recent(self._make_key)
        layout, lengths = examples.layout, examples.lengths(0)
        varying = (lengths != lengths[0]).any(axis=0)
        self._counted = varying if varying.any() else np.ones_like(varying)
        self._examples = examples
        if isinstance(buckets, Sequence):
            self._bounds = _given(layout, buckets)
        else:
            number = None if buckets is None else as_size("buckets", buckets)
            self._bounds = choose_bounds(lengths, self._key(0), number)
        super().__init__(examples, seed)
        if not self._num_batches:
            raise ValueError(
                f"{len(examples)} examples do not fill one batch, and drop_remainder=True leaves "
                "out what does not."
            )

    @property
    def buckets(self) -> list[Any]:
        """The padded lengths, smallest first: numbers, or trees where leaves differ."""
        if (self._bounds == self._bounds[:, :1]).all():
            return self._bounds[:, 0].tolist()
        return [self._examples.layout.collect(bounds.tolist()) for bounds in self._bounds]

    @property
    def padding_share(self) -> float:
        """The share of steps that are padding in epoch 0, empty rows included."""
        plan, lengths = self._plan(0), self._examples.lengths(0)[:, self._counted]
        valid = sum(int(lengths[one.rows].sum()) for one in plan)
        total = sum(one.size * int(one.bounds[self._counted].sum()) for one in plan)
        return 1 - valid / total if total else 0.0

    def _make_key(self, epoch: int) -> np.ndarray:
        """`[N]`, the length of each example."""
        lengths = self._examples.lengths(epoch)
        if self._length is None:
            return lengths[:, self._counted].max(axis=1)
        of_leaves = self._examples.layout.collect([*lengths.T])
        return np.broadcast_to(np.asarray(self._length(of_leaves)), len(lengths))

    def _count(self, plan: list[_Planned]) -> int:
        return len(plan)

    def _make_plan(self, epoch: int) -> list[_Planned]:
        plan = self._cut_by_tokens(epoch) if self._tokens else self._cut_by_rows(epoch)
        return [one for one in plan if len(one.rows) == one.size or not self._drop_remainder]

    def _cut_by_rows(self, epoch: int) -> list[_Planned]:
        """Neighbours by length, of whichever bucket; with a seed other neighbours each epoch."""
        size = self._size
        lengths, key = self._examples.lengths(epoch), np.array(self._key(epoch), float)
        rng = np.random.default_rng([self._seed or 0, epoch, 1])
        if self._seed is not None:
            key *= rng.uniform(0.9, 1.1, len(key))
        order = np.argsort(key, kind="stable")
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        longest = np.stack([lengths[rows].max(axis=0) for rows in groups])
        bounds = bounds_of(longest, self._bounds)
        plan = [_Planned(rows, size, bound) for rows, bound in zip(groups, bounds, strict=True)]
        return plan if self._seed is None else [plan[i] for i in rng.permutation(len(plan))]

    def _cut_by_tokens(self, epoch: int) -> list[_Planned]:
        """Examples of one bucket; rows as many as have `tokens_per_batch` steps in it."""
        lengths, key = self._examples.lengths(epoch), self._key(epoch)
        order = np.argsort(key, kind="stable")
        padded, bucket = np.unique(bounds_of(lengths, self._bounds), axis=0, return_inverse=True)
        rng = np.random.default_rng([self._seed or 0, epoch])
        plan = []
        for number, bounds in enumerate(padded):
            rows = order[bucket[order] == number]
            rows = rows if self._seed is None else rng.permutation(rows)
            steps = max(1, int(bounds[self._counted].max()))
            size = max(1, (self._tokens or 0) // steps)
            parts = [rows[start : start + size] for start in range(0, len(rows), size)]
            plan += [_Planned(part, size, bounds) for part in parts]
        return plan if self._seed is None else [plan[i] for i in rng.permutation(len(plan))]

    def _make_batch(self, epoch: int, place: int) -> Batch[T]:
        rows, size, bounds = self._plan(epoch)[place]
        mine = self._share.cut(size)
        rows = rows[mine]
        size = mine.stop - mine.start
        values = self._examples.values(epoch, rows)
        return stack(self._examples.layout, values, rows, size=size, bounds=bounds)


def padded_batches(
    source: Source[T],
    *,
    batch_size: int | None = None,
    tokens_per_batch: int | None = None,
    buckets: Any = None,
    seed: int | None = None,
    drop_remainder: bool = False,
    lengths: Any = None,
    length: Callable[[Any], Any] | None = None,
) -> PaddedBatches[T]:
    """Makes padded batches of examples of similar length, in few different shapes.

    Batch i is a function of the seed and i, and every example comes once in each epoch. An example
    is any pytree. Arrays, and lists of numbers, are ragged: their axis 0 is time, and each leaf may
    have its own length. Numbers are scalars of the example.

    Args:
      source: examples; whatever has a length and gives example i: a list, an array, a dataset of
        Hugging Face, a source or a `MapDataset` of grain, which is read on in each epoch, so that
        what is random in it is drawn anew.
      batch_size: rows of every batch. Give this or `tokens_per_batch`.
      tokens_per_batch: steps of every batch, padding included: short examples come in batches of
        more rows. Where leaves have different lengths, steps of the longest.
      buckets: to how many different lengths batches are padded, at most: their number, or the
        padded lengths themselves, each a number or a tree of numbers like an example, such as
        `PaddedBatches.buckets` of the training data. The smallest in which all leaves fit is
        taken; beyond the largest, a multiple of it. With None their number is chosen for a
        training of 10 epochs; `choose_buckets` explains how, and knows other numbers of epochs.
      seed: of the order; None keeps the order of length, as for evaluation.
      drop_remainder: whether batches with empty rows are left out.
      lengths: `[N]` lengths of all examples, or a tree of them like an example, or a function from
        the epoch to them. With it, the source is not read at the beginning to measure its examples,
        nor a `MapDataset` at the beginning of each epoch.
      length: from the lengths of the leaves, a tree like an example, to that of the example, by
        which they are sorted; None is the longest leaf.

    Returns:
      `PaddedBatches`, a `grain.MapDataset`. `len` is the number of batches in one epoch.

    Raises:
      ValueError: if there are no examples, they do not fit together, or settings contradict.

    Example:
      >>> from birnn_jax.data import padded_batches
      >>> sentences = [{"words": [1] * n, "tags": [2] * n} for n in (3, 9, 4, 8, 1, 9)]
      >>> batches = padded_batches(sentences, tokens_per_batch=24, buckets=2, seed=0)
      >>> batches.buckets, {batch.values["words"].shape for batch in batches} == {(6, 4), (2, 12)}
      ([4, 12], True)
      >>> evaluation = padded_batches(sentences, batch_size=3, buckets=batches.buckets)
      >>> evaluation[0].lengths["words"].tolist()
      [1, 3, 4]

    References:
      Khomenko et al., Accelerating Recurrent Neural Network Training using Sequence Bucketing and
      Multi-GPU Data Parallelization, 2016.
    """
    if (batch_size is None) == (tokens_per_batch is None):
        raise ValueError(
            "Give batch_size or tokens_per_batch, one of them, got "
            f"batch_size={batch_size} and tokens_per_batch={tokens_per_batch}."
        )
    return PaddedBatches(
        Examples(source, lengths),
        batch_size=batch_size,
        tokens_per_batch=tokens_per_batch,
        buckets=buckets,
        seed=seed,
        drop_remainder=drop_remainder,
        length=length,
    )


def _given(layout: Any, buckets: Sequence[Any]) -> np.ndarray:
    if not buckets:
        raise ValueError("buckets must name at least one padded length, got none.")
    bounds = np.array([layout.spread("buckets", bucket) for bucket in buckets])
    if bounds.dtype.kind not in "iu" or bounds.min() < 0:
        raise ValueError(f"buckets must be padded lengths, integers from 0, got {[*buckets]}.")
    return bounds[np.argsort(bounds.sum(axis=1), kind="stable")]
