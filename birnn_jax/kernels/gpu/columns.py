"""A function of `[B, P*U]` arrays, computed on columns of U units as separate arrays `[B, U]`.

Registers hold columns: each gate of a warpgroup's units is an array of its own, and what a cell
rule does to the gates side by side (split, slice, concatenate, pad) moves no number.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal

_ON_EACH_ELEMENT = frozenset(
    "add add_any convert_element_type copy div integer_pow mul neg select_n sub tanh".split()
)


class Columns:
    """A leaf of a tree: the arrays `[B, U]` of an array `[B, P*U]`."""

    def __init__(self, parts: tuple[jax.Array, ...]) -> None:
        self.parts = tuple(parts)


def map_columns(function: Callable[..., jax.Array], *columns: Columns) -> Columns:
    """The function of every part of columns that are alike."""
    parts = zip(*(each.parts for each in columns), strict=True)
    return Columns(tuple(function(*each) for each in parts))


def run_in_columns(function: Callable[..., Any], *trees: Any) -> Any:
    """`function(*trees)` for leaves that are `Columns`, which its results are, too.

    Raises:
      ValueError: if an operation of the function may mix columns.
    """
    leaves, tree = jax.tree.flatten(trees)
    rows, units = leaves[0].parts[0].shape
    shapes = [
        jax.ShapeDtypeStruct((rows, units * len(leaf.parts)), leaf.parts[0].dtype)
        for leaf in leaves
    ]
    jaxpr, out = jax.make_jaxpr(function, return_shape=True)(*tree.unflatten(shapes))
    results = _evaluate(jaxpr.jaxpr, jaxpr.consts, leaves, (rows, units))
    return jax.tree.structure(out).unflatten(results)


def _evaluate(jaxpr: Any, consts: Any, leaves: list[Any], shape: tuple[int, int]) -> list[Columns]:
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *leaves], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values[atom]

    for eqn in jaxpr.eqns:
        operands = list(map(read, eqn.invars))
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        if inner is not None:
            results = _evaluate(inner.jaxpr, inner.consts, operands, shape)
        else:
            results = _apply(eqn, operands, shape)
        values.update(zip(eqn.outvars, results, strict=True))
    return [_fill(read(atom), atom.aval, shape) for atom in jaxpr.outvars]


def _apply(eqn: Any, operands: list[Any], shape: tuple[int, int]) -> list[Any]:
    name, params, units = eqn.primitive.name, eqn.params, shape[1]
    if name == "broadcast_in_dim" and not isinstance(operands[0], Columns):
        return operands  # a number, wherever it is read
    if all(not isinstance(operand, Columns) for operand in operands):
        results = eqn.primitive.bind(*operands, **params)
        return list(results) if eqn.primitive.multiple_results else [results]
    pairs = list(zip(operands, eqn.invars, strict=True))
    filled = [_fill(x, v.aval, shape) for x, v in pairs]
    if name == "split":
        ends = [sum(params["sizes"][: i + 1]) for i in range(len(params["sizes"]))]
        starts = [0, *ends[:-1]]
        return [_cut(filled[0], a, b, units) for a, b in zip(starts, ends, strict=True)]
    if name == "slice":
        return [_cut(filled[0], params["start_indices"][-1], params["limit_indices"][-1], units)]
    if name == "concatenate":
        return [Columns(tuple(part for columns in filled for part in columns.parts))]
    if name == "pad":
        low, high, _ = params["padding_config"][-1]
        zeros = jnp.full(shape, operands[1])
        before, after = (Columns((zeros,) * (size // units)) for size in (low, high))
        return [Columns((*before.parts, *filled[0].parts, *after.parts))]
    if name not in _ON_EACH_ELEMENT:
        raise ValueError(f"{name} is not known as an operation on each element.")
    aval = eqn.outvars[0].aval
    parts = [_fill(x, aval.update(dtype=v.aval.dtype), shape).parts for x, v in pairs]
    # What transposing adds up with has no rule in Mosaic.
    bind = lax.add if name == "add_any" else functools.partial(eqn.primitive.bind, **params)
    return [Columns(tuple(bind(*each) for each in zip(*parts, strict=True)))]


def _cut(columns: Columns, start: int, end: int, units: int) -> Columns:
    if start % units or end % units:
        raise ValueError(f"Columns {start} to {end} are no whole number of {units} units.")
    return Columns(columns.parts[start // units : end // units])


def _fill(value: Any, aval: Any, shape: tuple[int, int]) -> Any:
    """Columns, of a number too, where an array is expected."""
    if isinstance(value, Columns):
        return value
    count = max(math.prod(aval.shape) // math.prod(shape), 1)
    return Columns((lax.full(shape, value, aval.dtype),) * count)
