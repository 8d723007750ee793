"""Several sequences in each row: batches with hardly any padding, of one shape."""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from .._core.checks import as_size
from .._core.masks import Segments
from ._dataset import BatchDataset
from ._source import Examples, Source
from ._trees import Layout

T = TypeVar("T")


class Packed(NamedTuple, Generic[T]):
    """Examples packed into rows; made by `pack` and `packed_batches`.

    `segments` stand in place of lengths wherever the library takes lengths.

    Example:
      >>> from birnn_jax.data import pack
      >>> packed = pack([[1, 2], [3, 4, 5], [6]], steps=4)
      >>> packed.values.tolist(), packed.segments.ids.tolist(), packed.rows.tolist()
      ([[3, 4, 5, 6], [1, 2, 0, 0]], [[1, 1, 1, 2], [1, 1, 0, 0]], [[1, 2], [0, -1]])
      >>> packed.efficiency
      0.75
    """

    values: T  # the tree of an example: ragged leaves [B, T, ...], scalars [B, S]
    segments: Segments  # ids [B, T]: 1 to S, the sequences of a row in their order; 0 for padding
    rows: np.ndarray  # [B, S] int32, number of the example of each segment; -1 where there is none

    @property
    def efficiency(self) -> float:
        """The share of steps that are not padding."""
        ids = np.asarray(self.segments.ids)
        return float((ids != 0).mean()) if ids.size else 1.0


class PackedBatches(BatchDataset[Packed[T]], Generic[T]):
    """What `packed_batches` returns: `self[i]` is batch i, a `Packed`.

    Example:
      >>> from birnn_jax.data import packed_batches
      >>> batches = packed_batches([[1] * n for n in (4, 3, 3, 2, 8)], steps=8, batch_size=2)
      >>> batches[0].segments.ids[1].tolist(), batches.padding_share
      ([1, 1, 1, 1, 2, 2, 2, 0], 0.375)
    """

    def __init__(
        self,
        examples: Examples[T],
        *,
        steps: int,
        batch_size: int,
        seed: int | None,
        drop_remainder: bool,
    ):
        """Takes the settings of `packed_batches`."""
        self._steps = as_size("steps", steps)
        self._size = as_size("batch_size", batch_size)
        self._drop_remainder = drop_remainder
        if examples.are_redrawn:
            raise ValueError(
                "packed_batches needs examples whose lengths are the same in each epoch: give "
                "their lengths, or a source that is no MapDataset."
            )
        self._lengths = common_lengths(examples.layout, examples.lengths(0))
        self._bins = _decreasing(self._lengths, self._steps)
        super().__init__(examples, seed)
        if not self._num_batches:
            raise ValueError(
                f"{len(self._bins)} rows do not fill a batch of {self._size}, and "
                "drop_remainder=True leaves out what does not."
            )

    @property
    def padding_share(self) -> float:
        """The share of steps that are padding in an epoch, empty rows included."""
        valid = sum(int(self._lengths[rows].sum()) for bins in self._plan(0) for rows in bins)
        return 1 - valid / (self._num_batches * self._size * self._steps)

    def _count(self, plan: list[list[np.ndarray]]) -> int:
        return len(plan)

    def _make_plan(self, epoch: int) -> list[list[np.ndarray]]:
        """The examples of each row of each batch.

        Rows have the same lengths in every epoch; with a seed, examples of the same length change
        places, and rows come in another order.
        """
        order = np.arange(len(self._lengths))
        rng = np.random.default_rng([self._seed or 0, epoch])
        if self._seed is not None:
            order = rng.permutation(order)
        order = order[np.argsort(-self._lengths[order], kind="stable")]
        bins = [order[places] for places in self._bins]
        if self._seed is not None:
            bins = [bins[i] for i in rng.permutation(len(bins))]
        plan = [bins[start : start + self._size] for start in range(0, len(bins), self._size)]
        return plan if len(plan[-1]) == self._size or not self._drop_remainder else plan[:-1]

    def _make_batch(self, epoch: int, place: int) -> Packed[T]:
        bins = self._plan(epoch)[place]
        mine = self._share.cut(self._size)
        most = max(map(len, self._bins))
        values = [self._examples.values(epoch, rows) for rows in bins[mine]]
        size = mine.stop - mine.start
        return _lay_out(
            self._examples.layout, values, bins[mine], size=size, steps=self._steps, most=most
        )


def pack(
    examples: Sequence[T], *, steps: int | None = None, batch_size: int | None = None
) -> Packed[T]:
    """Packs examples into as few rows as first-fit decreasing finds.

    The longest example comes first, each into the first row that has room for it. All ragged
    leaves of an example must have one length; see `pad` for what an example is.

    Args:
      examples: of one structure, at least one.
      steps: T of a row; None is the longest example.
      batch_size: rows B, those not needed empty; None is as many as are needed.

    Returns:
      `Packed`, of NumPy arrays. Its `efficiency` is the share of steps that are not padding.

    Raises:
      ValueError: if an example is longer than `steps`, or they need more rows.

    Example:
      >>> import numpy as np
      >>> from birnn_jax.data import pack
      >>> packed = pack([np.ones([n, 3]) for n in (2, 5, 3, 1)], steps=6)
      >>> packed.values.shape, packed.efficiency == 11 / 12
      ((2, 6, 3), True)

    References:
      Krell et al., Efficient Sequence Packing without Cross-contamination, 2021.
    """
    found = Examples(examples)
    lengths = common_lengths(found.layout, found.lengths(0))
    steps = as_size("steps", int(max(1, lengths.max())) if steps is None else steps)
    order = np.argsort(-lengths, kind="stable")
    bins = [order[places] for places in _decreasing(lengths, steps)]
    size = len(bins) if batch_size is None else as_size("batch_size", batch_size)
    if size < len(bins):
        raise ValueError(f"The examples need {len(bins)} rows, more than batch_size={size}.")
    values = [found.values(0, rows) for rows in bins]
    most = max(map(len, bins))
    return _lay_out(found.layout, values, bins, size=size, steps=steps, most=most)


def first_fit(lengths: Sequence[int] | np.ndarray, capacity: int) -> list[list[int]]:
    """Puts each length into the first bin with room for it: the places of `lengths` in each bin.

    A tree over the room in the bins finds the first in a time that grows with its logarithm.
    """
    leaves = 1 << max(0, len(lengths) - 1).bit_length()
    room = [capacity] * (2 * leaves)  # room[i]: the most in a bin below node i
    bins: list[list[int]] = []
    for place, length in enumerate(lengths):
        node = 1
        while node < leaves:
            node *= 2
            node += room[node] < length
        if node - leaves == len(bins):
            bins.append([])
        bins[node - leaves].append(place)
        room[node] -= int(length)
        while node > 1:
            node //= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
    return bins


def _decreasing(lengths: np.ndarray, steps: int) -> list[list[int]]:
    """Bins of first-fit decreasing; places are those in the order of decreasing length."""
    if lengths.max() > steps:
        row = int(lengths.argmax())
        raise ValueError(
            f"Example {row} has {lengths[row]} steps, more than steps={steps}: give more steps, or "
            "leave it out."
        )
    return first_fit(np.sort(lengths)[::-1], steps)


def common_lengths(layout: Layout, lengths: np.ndarray) -> np.ndarray:
    """The lengths `[N]` that all ragged leaves have."""
    if not lengths.shape[1]:
        raise ValueError("An example must have a ragged leaf here; it has scalars only.")
    differ = (lengths != lengths[:, :1]).any(axis=1)
    if differ.any():
        row = int(differ.argmax())
        names = [layout.leaves[place].name for place in layout.ragged]
        steps = ", ".join(f"{n}: {m}" for n, m in zip(names, lengths[row], strict=True))
        raise ValueError(
            "All ragged leaves of an example must have one length here; those of example "
            f"{row} have {steps}."
        )
    return lengths[:, 0]


def _lay_out(
    layout: Layout,
    values: Sequence[Sequence[Sequence[Any]]],
    bins: Sequence[np.ndarray],
    *,
    size: int,
    steps: int,
    most: int,
) -> Packed[Any]:
    """`size` rows of `steps` steps and at most `most` segments."""
    ids = np.zeros([size, steps], np.int32)
    numbers = np.full([size, most], -1, np.int32)
    arrays = [
        np.zeros([size, steps if leaf.is_ragged else most, *leaf.shape], leaf.dtype)
        for leaf in layout.leaves
    ]
    ragged = layout.ragged[0]
    for i, (rows, examples) in enumerate(zip(bins, values, strict=True)):
        start = 0
        for segment, (row, leaves) in enumerate(zip(rows, examples, strict=True)):
            stop = start + len(leaves[ragged])
            for place, (leaf, array) in enumerate(zip(layout.leaves, arrays, strict=True)):
                value = layout.array(place, leaves[place], int(row))
                if not leaf.is_ragged:
                    array[i, segment] = value
                elif stop > start:
                    array[i, start:stop] = value
            ids[i, start:stop] = segment + 1
            numbers[i, segment] = row
            start = stop
    return Packed(layout.unflatten(arrays), Segments(ids), numbers)


def packed_batches(
    source: Source[T],
    *,
    steps: int,
    batch_size: int,
    seed: int | None = None,
    drop_remainder: bool = False,
    lengths: Any = None,
) -> PackedBatches[T]:
    """Makes batches of rows into which several examples are packed: one shape, little padding.

    Rows are filled by first-fit decreasing. With a seed, in each epoch examples of the same length
    change places, and rows come in another order. Batch i is a function of the seed and i, and
    every example comes once in each epoch.

    Args:
      source: examples, as in `padded_batches`; all ragged leaves of an example have one length.
      steps: T of every row.
      batch_size: B of every batch.
      seed: of the order; None keeps one order.
      drop_remainder: whether a last batch with empty rows is left out.
      lengths: `[N]` lengths of the examples, so that the source need not be read at the beginning.

    Returns:
      `PackedBatches`, a `grain.MapDataset`. Its `padding_share` says how well the rows are filled.

    Raises:
      ValueError: if an example is longer than `steps`, or its leaves have different lengths.

    Example:
      >>> from birnn_jax.data import packed_batches
      >>> batches = packed_batches([[7] * n for n in (3, 9, 4, 8, 1, 9)], steps=12, batch_size=3)
      >>> params = init_bidirectional(LSTM, jax.random.key(0), input_size=1, hidden_size=4)
      >>> xs = jnp.float32(batches[0].values)[..., None]
      >>> bidirectional(LSTM, params, xs, batches[0].segments)[1].shape, batches.padding_share < 0.1
      ((3, 12, 8), True)

    References:
      Krell et al., Efficient Sequence Packing without Cross-contamination, 2021.
    """
    return PackedBatches(
        Examples(source, lengths),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        drop_remainder=drop_remainder,
    )
