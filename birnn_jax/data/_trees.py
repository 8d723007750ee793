"""Examples as trees: which leaves are ragged, and how many steps each has."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from .._core.describe import describe

_NARROW = {np.dtype(np.int64): np.int32, np.dtype(np.float64): np.float32}
_SCALAR = -1  # in place of a number of steps


class Leaf(NamedTuple):
    """One leaf of every example."""

    name: str
    is_ragged: bool
    dtype: np.dtype
    shape: tuple[int, ...]  # of one step of a ragged leaf, of a scalar ()


class Layout(NamedTuple):
    """What all examples have in common."""

    treedef: Any
    leaves: tuple[Leaf, ...]

    @classmethod
    def of(cls, example: Any) -> Self:
        """The layout of an example, which should have steps in all of its ragged leaves."""
        paths, treedef = jax.tree.flatten_with_path(example, is_leaf=_is_list)
        if not paths:
            raise ValueError(f"An example must have at least one array, got {describe(example)}.")
        return cls(treedef, tuple(_leaf(_name(path), value) for path, value in paths))

    @property
    def ragged(self) -> list[int]:
        """The places of the ragged leaves."""
        return [place for place, leaf in enumerate(self.leaves) if leaf.is_ragged]

    def values(self, example: Any, row: int) -> list[Any]:
        """The leaves of an example.

        Raises:
          ValueError: if its structure is another.
        """
        values, treedef = jax.tree.flatten(example, is_leaf=_is_list)
        if treedef != self.treedef:
            raise ValueError(
                f"Example {row} has another structure than the others: {treedef}, not "
                f"{self.treedef}."
            )
        return values

    def steps(self, values: Sequence[Any], row: int) -> list[int]:
        """How many steps each leaf has, -1 of a scalar."""
        steps = [_num_steps(value) for value in values]
        for leaf, number in zip(self.leaves, steps, strict=True):
            if (number != _SCALAR) != leaf.is_ragged:
                raise ValueError(
                    f"{leaf.name} of example {row} is {_kind(number)}, of other examples it is "
                    f"{_kind(1 if leaf.is_ragged else _SCALAR)}."
                )
        return steps

    def array(self, place: int, value: Any, row: int) -> np.ndarray:
        """A leaf of an example as an array of the dtype and the shape of this layout."""
        leaf = self.leaves[place]
        array = as_array(leaf.name, value)
        shape = array.shape[1:] if leaf.is_ragged else array.shape
        fits = np.can_cast(array.dtype, leaf.dtype, "same_kind") or not array.size
        if not fits or (shape != leaf.shape and array.size):
            raise ValueError(
                f"{leaf.name} of example {row} has steps of {array.dtype}{[*shape]}, those of "
                f"other examples are {leaf.dtype}{[*leaf.shape]}."
            )
        return array

    def unflatten(self, values: Sequence[Any]) -> Any:
        """A tree like an example; None stands where there is nothing to say."""
        return jax.tree.unflatten(self.treedef, values)

    def spread(self, name: str, prefix: Any) -> list[Any]:
        """For each ragged leaf what `prefix` says of it: a tree like an example, or a part of one.

        Raises:
          ValueError: if `prefix` is neither.
        """
        full = self.unflatten([*range(len(self.leaves))])
        try:
            spread = jax.tree.broadcast(prefix, full, is_leaf=_is_given)
        except ValueError:
            raise ValueError(
                f"{name} must be one value for all leaves, or a tree like an example, "
                f"{full}, got {describe(prefix)}."
            ) from None
        values = jax.tree.leaves(spread, is_leaf=_is_given)
        chosen = [values[place] for place in self.ragged]
        if any(value is None for value in chosen):
            raise ValueError(f"{name} must say something of every ragged leaf, got {prefix}.")
        return chosen

    def collect(self, of_ragged: Sequence[Any]) -> Any:
        """The reverse of `spread`: a tree like an example."""
        values: list[Any] = [None] * len(self.leaves)
        for place, value in zip(self.ragged, of_ragged, strict=True):
            values[place] = value
        return self.unflatten(values)


def as_array(name: str, value: Any) -> np.ndarray:
    """A leaf as an array; numbers of Python and lists of them in 32 bits, as JAX has them.

    Raises:
      ValueError: if it is no array of numbers.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"{name} has steps of different shapes. Only axis 0 may be ragged: pad each step."
        ) from None
    if array.dtype.kind in "OSUMm":
        raise ValueError(
            f"{name} must be numbers, got {_first(value)}. Turn text into numbers first, for "
            "example with birnn_jax.text.Vocabulary.encode, or leave the leaf out."
        )
    if isinstance(value, list | int | float) and array.dtype in _NARROW:
        narrow = array.astype(_NARROW[array.dtype])
        return narrow if array.dtype.kind == "f" or (narrow == array).all() else array
    return array


def _leaf(name: str, value: Any) -> Leaf:
    array = as_array(name, value)
    is_ragged = array.ndim > 0
    return Leaf(name, is_ragged, array.dtype, array.shape[1:])


def _num_steps(value: Any) -> int:
    if isinstance(value, list):
        return len(value)
    shape = np.shape(value)
    return shape[0] if shape else _SCALAR


def _name(path: tuple[Any, ...]) -> str:
    return f"leaf {jax.tree_util.keystr(path, simple=True, separator='.')}" if path else "the array"


def _kind(steps: int) -> str:
    return "a scalar" if steps == _SCALAR else "an array"


def _first(value: Any) -> str:
    while isinstance(value, list) and value:
        value = value[0]
    return describe(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_given(value: Any) -> bool:
    return value is None or isinstance(value, list)
