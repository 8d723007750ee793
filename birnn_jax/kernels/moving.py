"""Directions as operands of operations, and their parts that move where the rest stands still."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.interpreters import ad

from .._core.direction import Direction
from .._core.types import Carry
from ..cells._noise import NoisyCarry, remove_noise
from .operation import Operands


class Moving(NamedTuple):
    """Something for each part of a direction that moves; None in place of what stands still."""

    params: Any
    state: Any  # the carry without keys of noise
    xs: Any
    start: Any  # where segments begin, if there are any


def state_of(direction: Direction) -> Carry:
    """The carry before the first step, without keys of noise."""
    return remove_noise(direction.carry)


def start_of(direction: Direction) -> Carry | None:
    """The same before the first step of a segment; None if there are no segments."""
    return None if direction.starts is None else remove_noise(direction.starts.carry)


def split_directions(directions: Sequence[Direction]) -> Operands:
    """Parameters, which all rows share, and the rest."""
    return Operands(
        shared=tuple((direction.params, direction.packed) for direction in directions),
        rows=tuple(direction.rows() for direction in directions),
    )


def join_directions(shared: Any, rows: Sequence[Direction]) -> tuple[Direction, ...]:
    """The inverse of `split_directions`."""
    return tuple(
        direction.replace(params=params, packed=packed)
        for direction, (params, packed) in zip(rows, shared, strict=True)
    )


def parts_of(direction: Direction) -> Moving:
    """All that can move."""
    return Moving(direction.params, state_of(direction), direction.xs, start_of(direction))


def where_moving(marks: Sequence[Moving], parts: Sequence[Moving]) -> list[Moving]:
    """The `parts`, with None where `marks` has None."""
    return _map(lambda mark, leaf: None if mark is None else leaf, marks, parts)


def replace_parts(
    directions: tuple[Direction, ...], moving: Sequence[Moving]
) -> tuple[Direction, ...]:
    """The directions with `moving` in place of their own; None leaves what is there."""
    parts = _map(
        lambda new, own: own if new is None else new, moving, list(map(parts_of, directions))
    )
    return tuple(_replace(direction, new) for direction, new in zip(directions, parts, strict=True))


def _replace(direction: Direction, new: Moving) -> Direction:
    starts = direction.starts
    if starts is not None:
        starts = starts._replace(carry=_with_state(starts.carry, new.start))
    return direction.replace(
        params=new.params,
        carry=_with_state(direction.carry, new.state),
        xs=new.xs,
        starts=starts,
    )


def _with_state(carry: Any, state: Any) -> Any:
    return dataclasses.replace(carry, carry=state) if isinstance(carry, NoisyCarry) else state


def fill_zeros(moving: Any, like: Any) -> Any:
    """A part or parts, with zeros where they stand still; None where `like` has nothing."""

    def fill(leaf: Any, like: Any) -> Any:
        return jnp.zeros_like(like) if leaf is None and like is not None else leaf

    return jax.tree.map(fill, moving, like, is_leaf=_is_none)


def split_tangents(d_directions: Sequence[Direction]) -> Operands:
    """The parts that move, by the tangents of `defjvp(symbolic_zeros=True)`."""
    is_zero = lambda leaf: isinstance(leaf, SymbolicZero)  # noqa: E731
    none_if_zero = lambda leaf: None if is_zero(leaf) else leaf  # noqa: E731
    moving = [
        jax.tree.map(none_if_zero, parts_of(direction), is_leaf=is_zero)
        for direction in d_directions
    ]
    return split(moving)


def find_wanted(operands: Operands) -> tuple[Moving, ...]:
    """True for each part whose cotangent a transpose is asked for, None for the others."""
    moving = join(operands.d_shared, operands.d_rows)
    return tuple(jax.tree.map(lambda leaf: True, moving, is_leaf=ad.is_undefined_primal))


def split(moving: Sequence[Moving]) -> Operands:
    """Parameters are shared by all rows."""
    return Operands(
        shared=[parts.params for parts in moving],
        rows=[parts._replace(params=None) for parts in moving],
    )


def join(shared: Sequence[Any], rows: Sequence[Moving]) -> list[Moving]:
    """The inverse of `split`."""
    return [parts._replace(params=params) for params, parts in zip(shared, rows, strict=True)]


def _map(function: Any, marks: Sequence[Moving], parts: Sequence[Moving]) -> list[Moving]:
    return jax.tree.map(function, list(marks), list(parts), is_leaf=_is_none)


def _is_none(leaf: Any) -> bool:
    return leaf is None
