"""Batches as the runner reads them: dicts of arrays, of which each process reads its share.

Batch i is a pure function of (seed, i): nothing but i has to be remembered. What makes them, from
examples of one length or of several, is `birnn_jax.data`.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from birnn_jax.data import Batch, pad, padded_batches

# Arrays `[T, ...]` of one sequence, and numbers `[]` of all of it.
Example = Mapping[str, np.ndarray]
# The same, padded and stacked to `[B, T, ...]`, numbers to `[B]`; lengths, rows `[B]`.
FlatBatch = dict[str, Any]


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


def flat(batch: Batch[Any]) -> FlatBatch:
    """A batch of dicts as one dict, with its `rows`, and `lengths` of its first ragged leaf."""
    lengths = jax.tree.leaves(batch.lengths)[0]
    return {**batch.values, "lengths": lengths, "rows": batch.rows}


def flat_batch(examples: Sequence[Example], **options: Any) -> FlatBatch:
    """One batch of some examples; options as those of `birnn_jax.data.pad`."""
    return flat(pad(examples, **options))


class Batches:
    """Padded batches of `epochs` epochs: `self[i]` is batch i, `len(self)` their number.

    Every example comes once in each epoch. `seed=None` keeps the examples in order of length.
    """

    def __init__(
        self,
        examples: Any,
        *,
        epochs: int = 1,
        flatten: Callable[[Batch[Any]], FlatBatch] = flat,
        **options: Any,
    ):
        """Takes the examples, and options of `birnn_jax.data.padded_batches`."""
        self._dataset = padded_batches(examples, **options)
        self._epochs = epochs
        self._flatten = flatten

    @property
    def per_epoch(self) -> int:
        """Batches of an epoch."""
        return len(self._dataset)

    def shared(self, share: Share) -> Source:
        """The same batches, of which only a share of the rows is read.

        Rows of length 0 are added to a batch that cannot be cut evenly.
        """
        copied = copy.copy(self)
        copied._dataset = self._dataset.shard(
            share.process, share.processes, row_multiple=share.pieces
        )
        return copied

    def __len__(self) -> int:
        return self._epochs * self.per_epoch

    def __getitem__(self, index: int) -> FlatBatch:
        return self._flatten(self._dataset[index])


def by_rows(batches: Source, compute: Callable[[Any], Any]) -> list[Any]:
    """What `compute` makes of each example of the batches, in the order of the examples.

    A batch is made while the device computes the one before.

    Args:
      batches: of one epoch, with their `rows`.
      compute: from a batch on the device to a tree of arrays `[B, ...]`.

    Returns:
      For each example the tree of its own arrays.
    """
    found: dict[int, Any] = {}

    def collect(rows: np.ndarray, computed: Any) -> None:
        leaves, structure = jax.tree.flatten(jax.device_get(computed))
        for place, row in enumerate(rows):
            if row >= 0:
                found[int(row)] = jax.tree.unflatten(structure, [leaf[place] for leaf in leaves])

    before = None
    for i in range(len(batches)):
        batch = batches[i]
        computed = compute(jax.device_put(batch))
        if before is not None:
            collect(*before)
        before = batch["rows"], computed
    if before is not None:
        collect(*before)
    return [found[row] for row in range(len(found))]


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
