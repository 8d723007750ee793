"""Long sequences in windows, for truncated back-propagation through time."""

import heapq
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np

from .._core.checks import as_size
from ._batch import stack
from ._dataset import BatchDataset
from ._packed import common_lengths
from ._source import Examples, Recent, Source

T = TypeVar("T")


class Window(NamedTuple, Generic[T]):
    """A window of each of B streams; made by `windows`.

    Example:
      >>> from birnn_jax.data import windows
      >>> first, second, third = windows([[1, 2, 3, 4, 5], [6, 7, 8]], steps=2, batch_size=2)
      >>> first.values.tolist(), second.values.tolist(), third.values.tolist()
      ([[1, 2], [6, 7]], [[3, 4], [8, 0]], [[5, 0], [0, 0]])
      >>> first.starts.tolist(), second.starts.tolist(), third.lengths.tolist()
      ([True, True], [False, False], [1, 0])
    """

    values: T  # the tree of a stream: ragged leaves [B, T, ...], scalars [B]
    lengths: np.ndarray  # [B] int32, steps of each row; 0 where no stream is left
    starts: np.ndarray  # [B] bool, whether a stream begins: the carry begins anew
    rows: np.ndarray  # [B] int32, number of the stream; -1 where none is left


class _Plan(NamedTuple):
    """What each row of each batch reads."""

    streams: np.ndarray  # [N, B], -1 where none is left
    first: np.ndarray  # [N, B], the step of the stream that the window begins with


class WindowBatches(BatchDataset[Window[T]], Generic[T]):
    """What `windows` returns: `self[i]` is batch i, a `Window`.

    Example:
      >>> from birnn_jax.data import windows
      >>> batches = windows([[1, 2, 3, 4, 5], [6, 7, 8]], steps=2, batch_size=2)
      >>> len(batches), round(batches.padding_share, 2)
      (3, 0.33)
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
        """Takes the settings of `windows`."""
        self._steps = as_size("steps", steps)
        self._size = as_size("batch_size", batch_size)
        self._drop_remainder = drop_remainder
        self._streams = Recent(self._read, size=self._size)  # those that rows are in
        super().__init__(examples, seed)
        if not self._num_batches:
            raise ValueError(
                f"The streams do not fill one window of {self._steps} steps in each of "
                f"{self._size} rows. Cut them into more streams, or give a smaller batch_size."
            )

    @property
    def padding_share(self) -> float:
        """The share of steps that are padding in epoch 0."""
        valid = self._stops(0, slice(None)) - self._plan(0).first
        return 1 - int(valid.sum()) / (valid.size * self._steps)

    def _lengths(self, epoch: int) -> np.ndarray:
        return common_lengths(self._examples.layout, self._examples.lengths(epoch))

    def _stops(self, epoch: int, places: int | slice) -> np.ndarray:
        """The step of the stream that the window ends before, for each row of some batches."""
        streams, first = (table[places] for table in self._plan(epoch))
        lengths = np.append(self._lengths(epoch), 0)  # the last is that of stream -1
        return np.minimum(first + self._steps, lengths[streams])

    def _count(self, plan: _Plan) -> int:
        return len(plan.streams)

    def _make_plan(self, epoch: int) -> _Plan:
        """Shares the streams out between the rows.

        The longest goes first, each to the row that has least to read, so that all epochs have as
        many batches. A row reads its streams in the random order of the epoch.
        """
        windows = -(-self._lengths(epoch) // self._steps)
        order = np.arange(len(windows))
        if self._seed is not None:
            order = np.random.default_rng([self._seed, epoch]).permutation(order)
        order = order[windows[order] > 0]
        rows = [(0, row) for row in range(self._size)]  # what each has to read, as a heap
        chosen: list[list[int]] = [[] for _ in rows]
        for place in np.argsort(-windows[order], kind="stable"):
            load, row = rows[0]
            chosen[row].append(int(place))
            heapq.heapreplace(rows, (load + int(windows[order[place]]), row))
        loads = [load for load, _ in rows]
        streams = np.full([max(loads), self._size], -1, np.int64)
        first = np.zeros_like(streams)
        for row, places in enumerate(chosen):
            mine = order[np.sort(np.array(places, int))]
            streams[: windows[mine].sum(), row] = np.repeat(mine, windows[mine])
            numbers = [np.arange(number) for number in windows[mine]]
            first[: windows[mine].sum(), row] = np.concatenate([np.arange(0), *numbers])
        number = min(loads) if self._drop_remainder else max(loads)
        return _Plan(streams[:number], first[:number] * self._steps)

    def _make_batch(self, epoch: int, place: int) -> Window[T]:
        mine = self._share.cut(self._size)
        plan = self._plan(epoch)
        table = zip(
            plan.streams[place, mine],
            plan.first[place, mine],
            self._stops(epoch, place)[mine],
            strict=True,
        )
        cut = [self._cut(epoch, stream, slice(start, stop)) for stream, start, stop in table]
        streams = plan.streams[place, mine]
        size, layout = mine.stop - mine.start, self._examples.layout
        bounds = [self._steps] * len(layout.ragged)
        batch = stack(layout, cut, streams, size=size, bounds=bounds)
        starts = np.zeros([size], bool)
        starts[: len(streams)] = (streams >= 0) & (plan.first[place, mine] == 0)
        return Window(batch.values, jax.tree.leaves(batch.lengths)[0], starts, batch.rows)

    def _read(self, number: int) -> list[Any]:
        """The leaves of a stream; streams are numbered through all epochs."""
        epoch, stream = divmod(number, len(self._examples))
        (values,) = self._examples.values(epoch, [stream])
        return values

    def _cut(self, epoch: int, stream: int, steps: slice) -> list[Any] | None:
        """The leaves of some steps of a stream; None where there is none."""
        if stream < 0:
            return None
        leaves = self._examples.layout.leaves
        values = self._streams(epoch * len(self._examples) + stream)
        return [
            value[steps] if leaf.is_ragged else value
            for leaf, value in zip(leaves, values, strict=True)
        ]


def windows(
    source: Source[T],
    *,
    steps: int,
    batch_size: int,
    seed: int | None = None,
    drop_remainder: bool = False,
    lengths: Any = None,
) -> WindowBatches[T]:
    """Cuts long sequences (streams) into windows for truncated back-propagation through time.

    Each of B rows reads streams one after the other; a row of a batch goes on where the same row of
    the batch before stopped. A window never holds two streams: the last window of a stream is
    padded, and in the next one `starts` says that the carry begins anew, as
    `birnn_jax.streaming.carry_over` does. Batch i is a function of the seed and i.

    One long text has one stream for each row, for example `np.array_split(tokens, batch_size)`.

    Args:
      source: streams; examples as in `padded_batches`, of which all ragged leaves have one length,
        such as inputs and labels.
      steps: T of every window.
      batch_size: B of every batch.
      seed: of the order in which streams come, another in each epoch; None keeps their order.
      drop_remainder: whether an epoch ends when the first row has nothing left to read; else when
        all have.
      lengths: `[N]` lengths of the streams, so that they need not be read at the beginning.

    Returns:
      `WindowBatches`, a `grain.MapDataset`. `len` is the number of batches in one epoch.

    Raises:
      ValueError: if there is no stream with a step, or the leaves of one have different lengths.

    Example:
      >>> import numpy as np
      >>> from birnn_jax.data import windows
      >>> tokens = np.arange(13)
      >>> pairs = [{"x": x, "y": y} for x, y in zip(
      ...     np.array_split(tokens[:-1], 2), np.array_split(tokens[1:], 2))]
      >>> batches = windows(pairs, steps=3, batch_size=2)
      >>> [batch.values["x"].tolist() for batch in batches]
      [[[0, 1, 2], [6, 7, 8]], [[3, 4, 5], [9, 10, 11]]]

    References:
      Williams and Peng, An Efficient Gradient-Based Algorithm for On-Line Training of Recurrent
      Network Trajectories, 1990.
    """
    return WindowBatches(
        Examples(source, lengths),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        drop_remainder=drop_remainder,
    )
