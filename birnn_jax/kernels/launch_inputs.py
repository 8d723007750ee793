"""What the loops of `launches` read: sums over inputs and flags, and which layers they can take."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core.direction import Direction
from .xla.cell_rule import CellRule
from .xla.lanes import stack
from .xla.time_order import at_of, clear

Directions = tuple[Direction, ...]


class Flags(NamedTuple):
    """`[K, T, B]` int32 of K directions; None is nowhere, or everywhere for `valid`."""

    valid: jax.Array | None
    is_start: jax.Array | None


def stack_flags(directions: Directions) -> Flags:
    """The flags of all directions, each in the order of time."""

    def flags_of(direction: Direction) -> Flags:
        flags = Flags(direction.valid, at_of(direction))
        return jax.tree.map(lambda flag: flag.T.astype(jnp.int32), flags)

    return stack([flags_of(direction) for direction in directions])


def stack_sums(rule: CellRule, packed: Sequence[Any], directions: Directions) -> jax.Array:
    """`[K, T, B, G*H]`: the products with the inputs, one for all steps of a direction."""
    pairs = zip(packed, directions, strict=True)
    projected = [rule.project(w, clear(one.xs, one.valid)) for w, one in pairs]
    return stack([sums.swapaxes(0, 1) for sums in projected])


def over_time(tree: Any, num_directions: int, num_steps: int) -> Any:
    """Shapes of one step of one direction as those of all."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((num_directions, num_steps, *leaf.shape), leaf.dtype),
        tree,
    )


def find_obstacle_of_sizes(directions: Directions) -> str | None:
    """Why no kernel takes these sizes, to be read after the name of a backend; None if some do."""
    xs = directions[0].xs
    if not all(isinstance(size, int) for size in xs.shape):
        return f"needs sizes that are numbers, got {xs.shape}."
    if 0 in xs.shape:
        return f"needs at least one row, one step and one feature, got xs of shape {xs.shape}."
    shapes = {
        tuple(leaf.shape for leaf in jax.tree.leaves((direction.params, direction.carry)))
        for direction in directions
    }
    if len(shapes) > 1:
        return "computes two directions of one size, got two sizes."
    if directions[0].params.w_h.shape[0] != directions[0].carry.h.shape[-1]:
        return "computes cells of one head, got several."
    return None
