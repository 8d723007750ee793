"""The calls of the native code; `src/buffers.h` has the types and the order of the buffers.

XLA checks types, ranks and numbers of buffers. What is not there, a mask, residuals that are not
stored or a gradient that is not wanted, is an array without elements.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.ffi
import jax.numpy as jnp
import numpy as np

from ..._core.direction import Direction
from .moving import Moving, parts_of
from .residuals import Residuals, native_cell, shapes_of_residuals

Directions = tuple[Direction, ...]


def call_forward(
    directions: Directions, results: Any, residuals: tuple[Residuals, ...]
) -> tuple[Any, tuple[Residuals, ...]]:
    """Results `(carries, ys)` and residuals, of the shapes given; None is not stored."""
    carries, ys = results
    types = (ys, list(zip(carries, _complete(residuals, directions, _empty), strict=True)))
    ys, by_direction = _call(directions, "forward", list(map(_arguments, directions)), types)
    carries, stored = zip(*by_direction, strict=True)
    return (carries, ys), tuple(map(_where_not_none, residuals, stored))


def call_backward(
    directions: Directions,
    ys: jax.Array,
    residuals: tuple[Residuals, ...],
    cotangents: Any,
    wanted: Sequence[Moving],
) -> list[Moving]:
    """Gradients of each direction; parameters or inputs of which nothing is wanted are empty."""
    d_carries, d_ys = cotangents
    stored = _complete(residuals, directions, _empty_array)
    arguments = list(zip(map(_arguments, directions), stored, d_carries, strict=True))
    types = [_types_of_gradients(*pair) for pair in zip(directions, wanted, strict=True)]
    return _call(directions, "backward", (ys, d_ys, arguments), types)


def _types_of_gradients(direction: Direction, wanted: Moving) -> Moving:
    params, carry, xs = parts_of(direction)
    return Moving(
        params=params if jax.tree.leaves(wanted.params) else jax.tree.map(_empty, params),
        carry=carry,
        xs=xs if wanted.xs else _empty(xs),
    )


def _call(directions: Directions, way: str, args: Any, results: Any) -> Any:
    types, tree = jax.tree.flatten(results)
    name = f"birnn_{native_cell(directions).name}_{way}_{len(directions)}"
    reverse = np.array([direction.reverse for direction in directions], np.int64)
    flat = jax.ffi.ffi_call(name, types)(*jax.tree.leaves(args), reverse=reverse)
    return jax.tree.unflatten(tree, flat)


def _arguments(direction: Direction) -> Any:
    valid = jnp.zeros([0, 0], bool) if direction.valid is None else direction.valid
    return direction.params, direction.carry, direction.xs, valid


def _complete(
    residuals: tuple[Residuals, ...], directions: Directions, make_empty: Callable[[Any], Any]
) -> list[Residuals]:
    """All residuals that the cell has: without elements where those given are None."""

    def complete(full: Any, given: Any) -> Any:
        return make_empty(full) if given is None and full is not None else given

    of_cell = shapes_of_residuals(directions, keep_gates=True)
    return [Residuals(*map(complete, *pair)) for pair in zip(of_cell, residuals, strict=True)]


def _where_not_none(marks: Residuals, stored: Residuals) -> Residuals:
    pairs = zip(marks, stored, strict=True)
    return Residuals(*(None if mark is None else leaf for mark, leaf in pairs))


def _empty(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((0,) * len(leaf.shape), leaf.dtype)


def _empty_array(leaf: Any) -> jax.Array:
    return jnp.zeros((0,) * len(leaf.shape), leaf.dtype)
