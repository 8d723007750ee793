"""Where examples come from: anything with a length that gives example i."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import grain
import jax
import numpy as np

from .._core.describe import describe
from ._trees import Layout

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")


class Source(Protocol[T_co]):
    """What has a length and gives its items by their number.

    A list, an array, a `datasets.Dataset` of Hugging Face, a data source or a `MapDataset` of
    grain.

    Example:
      >>> from birnn_jax.data import Source
      >>> source: Source[int] = [3, 1, 2]
      >>> len(source), source[1]
      (3, 1)
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> T_co: ...


class Recent(Generic[V]):
    """A function of an integer that remembers the values asked for last, and can be pickled."""

    def __init__(self, function: Callable[[int], V], *, size: int = 2):
        """Takes the function, and how many values it remembers."""
        self._function = function
        self._size = size
        self._values: dict[int, V] = {}

    def __call__(self, number: int) -> V:
        """Its value."""
        values = self._values
        value = values[number] if number in values else self._function(number)
        others = [(key, kept) for key, kept in values.items() if key != number]
        self._values = dict([*others[max(0, len(others) - self._size + 1) :], (number, value)])
        return value


class Examples(Generic[T]):
    """The examples of a source and their lengths, epoch by epoch.

    A `grain.MapDataset` is read on in each epoch, so that what is random in it is drawn anew.
    """

    def __init__(self, source: Source[T], lengths: Any = None):
        """Takes a source, and the lengths of its examples, as `padded_batches` does."""
        self.source = _checked(source)
        self._redrawn = isinstance(source, grain.MapDataset)
        self._given = lengths
        scan = None
        if lengths is None:
            self.layout, scan = self._scan(0)
        else:
            self.layout = Layout.of(self.read(0, 0))
        self.are_redrawn = callable(lengths) or (lengths is None and self._redrawn)
        self._known = None if self.are_redrawn else self._as_lengths(lengths, scan)
        self.lengths = Recent(self._lengths)

    def __len__(self) -> int:
        return len(self.source)

    def read(self, epoch: int, row: int) -> T:
        """Example `row` as it is in an epoch."""
        return self.source[epoch * len(self) + row if self._redrawn else row]

    def values(self, epoch: int, rows: Sequence[int] | np.ndarray) -> list[list[Any]]:
        """The leaves of some examples."""
        return [self.layout.values(self.read(epoch, int(row)), int(row)) for row in rows]

    def _lengths(self, epoch: int) -> np.ndarray:
        """Steps `[N, G]` of each ragged leaf of each example."""
        if self._known is not None:
            return self._known
        if callable(self._given):
            return self._as_lengths(self._given(epoch), None)
        return self._scan(epoch)[1]

    def _as_lengths(self, given: Any, scan: np.ndarray | None) -> np.ndarray:
        if scan is not None:
            return scan
        number = len(self)
        columns = self.layout.spread("lengths", _in_arrays(given))
        for column in columns:
            if column.shape != (number,) or column.dtype.kind not in "iu":
                raise ValueError(
                    f"lengths must be integers, one for each of {number} examples, got "
                    f"{describe(column)}."
                )
        return np.stack(columns, axis=1).astype(np.int64)

    def _scan(self, epoch: int) -> tuple[Layout, np.ndarray]:
        layout = Layout.of(self.read(epoch, 0))
        longest, steps = (-1, 0), []
        for row in range(len(self)):
            example = self.read(epoch, row)
            if example is None:
                raise ValueError(
                    f"Example {row} is None, as after .filter(). Put the examples that are left "
                    "into a list, and give that."
                )
            steps.append(layout.steps(layout.values(example, row), row))
            longest = max(longest, (sum(steps[-1]), -row))
        layout = Layout.of(self.read(epoch, -longest[1]))  # that of an empty list says no dtype
        return layout, np.array(steps, np.int64).reshape(len(self), -1)[:, layout.ragged]


def _checked(source: Any) -> Any:
    what = "a list of examples, or whatever has a length and gives example i by source[i]"
    if isinstance(source, Mapping):
        raise TypeError(
            f"source must be {what}, got {describe(source)}. Columns become examples by "
            "[{'x': x, 'y': y} for x, y in zip(xs, ys)]."
        )
    if not (hasattr(source, "__len__") and hasattr(source, "__getitem__")):
        raise TypeError(
            f"source must be {what}, got {describe(source)}. Turn an iterator into a list."
        )
    if not len(source):
        raise ValueError("source has no examples.")
    if len(source) > 2**31:
        raise ValueError("source has no end: leave out .repeat(), and repeat the batches.")
    return source


def _in_arrays(tree: Any) -> Any:
    """Lists of lengths as arrays."""
    return jax.tree.map(np.asarray, tree, is_leaf=lambda leaf: isinstance(leaf, list))
