"""`vmap` of an operation as a part of the operation, applied where a program is lowered."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.interpreters import ad

# The axis of each leaf, and the size, from the outermost map on.
Maps = tuple[tuple[tuple[int | None, ...], int], ...]


def as_function_of_leaves(
    function: Callable[..., Any], static: Any, tree: Any, maps: Maps
) -> Callable[..., list[Any]]:
    """`function(static, operands)` as one of the leaves of operands, under maps."""

    def run(*leaves: Any) -> list[Any]:
        return jax.tree.leaves(function(static, tree.unflatten(leaves)))

    for axes, size in reversed(maps):
        run = jax.vmap(run, axes, axis_size=size)
    return run


def of_one(leaves: Sequence[Any], maps: Maps) -> Sequence[Any]:
    """The shapes of leaves below all maps."""
    for axes, _ in maps:
        leaves = list(map(drop_axis, leaves, axes))
    return leaves


def with_axes(results: Sequence[Any], maps: Maps) -> list[jax.ShapeDtypeStruct]:
    """The shapes of results above all maps, whose axes are the first ones."""
    sizes = [size for _, size in maps]
    return [jax.ShapeDtypeStruct((*sizes, *leaf.shape), leaf.dtype) for leaf in results]


def drop_axis(leaf: Any, axis: int | None) -> jax.ShapeDtypeStruct:
    """The shape of a leaf below a map."""
    shape = [size for at, size in enumerate(leaf.shape) if at != axis]
    return jax.ShapeDtypeStruct(shape, leaf.dtype)


def transpose_map(
    transpose: Callable[..., list[Any]], cts: Sequence[Any], leaves: Sequence[Any], maps: Maps
) -> list[Any]:
    """The transpose of the outermost map: the map of the transpose under the others.

    `transpose(cts, *leaves, maps=maps)` gives the cotangents of the leaves that are undefined.
    """
    (axes, size), *inner = maps
    marks = list(zip(leaves, axes, map(ad.is_undefined_primal, leaves), strict=True))
    known = [leaf for leaf, _, is_asked in marks if not is_asked]
    known_axes = [axis for _, axis, is_asked in marks if not is_asked]

    def of_each(cts: Any, known: Any) -> list[Any]:
        rest = iter(known)
        leaves = [
            _undefined(drop_axis(leaf.aval, axis)) if is_asked else next(rest)
            for leaf, axis, is_asked in marks
        ]
        found = transpose(cts, *leaves, maps=tuple(inner))
        return [ct for ct, (*_, is_asked) in zip(found, marks, strict=True) if is_asked]

    cts = list(map(ad.instantiate_zeros, cts))
    found = iter(jax.vmap(of_each, (0, known_axes), axis_size=size)(cts, known))

    def put_back(ct: jax.Array, axis: int | None) -> jax.Array:
        return ct.sum(axis=0) if axis is None else jnp.moveaxis(ct, 0, axis)

    return [put_back(next(found), axis) if is_asked else None for _, axis, is_asked in marks]


def _undefined(leaf: jax.ShapeDtypeStruct) -> ad.UndefinedPrimal:
    return ad.UndefinedPrimal(ShapedArray(leaf.shape, leaf.dtype))
