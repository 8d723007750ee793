"""How the plan arranges the directions of a layer in a loop: each is a lane, or all are one."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from .plan import get_plan


class Lanes(NamedTuple):
    """Lanes of directions; a lane of several multiplies all of them in one batch.

    Its arrays have an axis of directions: the first one, or with an axis of time the second.
    """

    num_directions: int
    stacked: bool  # whether all are one lane

    def join(self, trees: Iterable[Any], axis: int = 0) -> tuple[Any, ...]:
        """Lanes of trees, one for each direction."""
        return (stack(trees, axis),) if self.stacked else tuple(trees)

    def split(self, lanes: Sequence[Any], axis: int = 0) -> tuple[Any, ...]:
        """The inverse of `join`."""
        return unstack(lanes[0], self.num_directions, axis) if self.stacked else tuple(lanes)

    def at_step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """What a function of one direction is for a lane; no argument has an axis of time."""
        return jax.vmap(function) if self.stacked else function

    def over_time(self, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """The same where all but the first argument begin with an axis of time."""
        return jax.vmap(function, in_axes=(0, 1), out_axes=1) if self.stacked else function


def arrange(directions: Sequence[Direction]) -> Lanes:
    """One lane if the plan says so, and the directions are alike."""
    shapes = [jax.tree.map(jnp.shape, _without_sense(direction)) for direction in directions]
    stacked = get_plan().stacked and len(directions) > 1 and shapes[1:] == shapes[:-1]
    return Lanes(len(directions), stacked)


def _without_sense(direction: Direction) -> Direction:
    """Alike for directions of one rule, wherever they begin and whatever they begin from."""
    return direction.replace(cell=direction.cell._replace(init=direction.cell.step), reverse=False)


def stack(trees: Iterable[Any], axis: int = 0) -> Any:
    """Trees that are alike as one, with another axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves, axis), *trees)


def unstack(tree: Any, count: int, axis: int = 0) -> tuple[Any, ...]:
    """The inverse of `stack`."""
    take = lambda leaf, index: jax.lax.index_in_dim(leaf, index, axis, keepdims=False)  # noqa: E731
    return tuple(jax.tree.map(lambda leaf, i=i: take(leaf, i), tree) for i in range(count))
