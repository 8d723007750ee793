"""The parts of a direction that move, in derivatives where the rest stands still."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from ..._core.direction import Direction
from ...cells._noise import NoisyCarry
from .cells import start_of, state_of
from .operation import Operands


class Moving(NamedTuple):
    """Something for each part of a direction that moves; None in place of what stands still."""

    params: Any
    state: Any  # the carry without keys of noise
    xs: Any
    start: Any  # where segments begin, if there are any


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
    return jax.tree.map(function, list(marks), list(parts), is_leaf=lambda leaf: leaf is None)
