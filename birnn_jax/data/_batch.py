"""Examples padded to one length and stacked."""

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from ._trees import Layout

T = TypeVar("T")


class Batch(NamedTuple, Generic[T]):
    """Examples, padded and stacked; made by `pad` and `padded_batches`.

    Example:
      >>> from birnn_jax.data import pad
      >>> batch = pad([{"words": [5, 2, 9], "label": 1}, {"words": [7], "label": 0}])
      >>> batch.values["words"].tolist(), batch.values["label"].tolist()
      ([[5, 2, 9], [7, 0, 0]], [1, 0])
      >>> batch.lengths["words"].tolist(), batch.rows.tolist()
      ([3, 1], [0, 1])
    """

    values: T  # the tree of an example: ragged leaves [B, T, ...], scalars [B]
    lengths: T  # the same tree: [B] int32 of each ragged leaf, None for scalars
    rows: np.ndarray  # [B] int32, number of the example; -1 for an empty row, of length 0


def pad(examples: Sequence[T], *, length: Any = None, batch_size: int | None = None) -> Batch[T]:
    """Pads examples with zeros to one length, and stacks them.

    An example is any pytree. Arrays, and lists of numbers, are ragged: their axis 0 is time, and
    each leaf may have its own length. Numbers are scalars of the example.

    Args:
      examples: of one structure, at least one.
      length: steps T of the padded leaves, one number or a tree of numbers like an example; None
        is the longest of each leaf.
      batch_size: rows B of the batch, those beyond the examples empty; None is one for each.

    Returns:
      A `Batch` of NumPy arrays.

    Raises:
      ValueError: if the examples do not fit together, or are longer or more than asked for.

    Example:
      >>> import numpy as np
      >>> from birnn_jax.data import pad
      >>> batch = pad([(np.ones([3, 2]), [1]), (np.ones([2, 2]), [4, 5])], length=(4, 2))
      >>> frames, labels = batch.values
      >>> frames.shape, labels.tolist(), batch.lengths[1].tolist()
      ((2, 4, 2), [[1, 0], [4, 5]], [1, 2])
    """
    if not len(examples):
        raise ValueError("examples must hold at least one example, got none.")
    layout = Layout.of(max(examples, key=_size))
    rows = np.arange(len(examples))
    if batch_size is None:
        batch_size = len(examples)
    if batch_size < len(examples):
        raise ValueError(f"{len(examples)} examples do not fit in batch_size={batch_size} rows.")
    values = [layout.values(example, row) for row, example in enumerate(examples)]
    steps = np.array([layout.steps(of_one, row) for row, of_one in enumerate(values)])
    steps = steps[:, layout.ragged]
    bounds = layout.spread("length", length) if length is not None else steps.max(axis=0)
    return stack(layout, values, rows, size=batch_size, bounds=bounds)


def stack(
    layout: Layout,
    values: Sequence[Sequence[Any] | None],
    rows: np.ndarray,
    *,
    size: int,
    bounds: Sequence[int] | np.ndarray,
) -> Batch[Any]:
    """The batch of `size` rows of these examples, whose ragged leaves are padded to `bounds`.

    Rows of which the values are None are empty.
    """
    padded: list[Any] = []
    lengths: list[Any] = [None] * len(layout.leaves)
    filled = [(i, of_one) for i, of_one in enumerate(values) if of_one is not None]
    bound_of = dict(zip(layout.ragged, map(int, bounds), strict=True))
    for place, leaf in enumerate(layout.leaves):
        given = [(i, layout.array(place, of_one[place], int(rows[i]))) for i, of_one in filled]
        if place not in bound_of:
            array = np.zeros([size, *leaf.shape], leaf.dtype)
            for i, value in given:
                array[i] = value
        else:
            array = np.zeros([size, bound_of[place], *leaf.shape], leaf.dtype)
            lengths[place] = np.zeros([size], np.int32)
            for i, value in given:
                if len(value) > bound_of[place]:
                    raise ValueError(
                        f"{leaf.name} of example {rows[i]} has {len(value)} steps, more than "
                        f"{bound_of[place]}."
                    )
                if len(value):  # an empty list does not know the shape of a step
                    array[i, : len(value)] = value
                lengths[place][i] = len(value)
        padded.append(array)
    numbers = np.full([size], -1, np.int32)
    numbers[: len(rows)] = rows
    return Batch(layout.unflatten(padded), layout.unflatten(lengths), numbers)


def _size(example: Any) -> int:
    layout = Layout.of(example)
    return sum(layout.steps(layout.values(example, 0), 0))
