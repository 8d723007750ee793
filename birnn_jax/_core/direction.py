"""One direction of a layer, from the door to the loop, and what a layer gives back."""

import dataclasses
import functools
import itertools
from typing import Any, Generic, NamedTuple

import jax
import jax.numpy as jnp

from .types import C, Carry, Cell, P


class Starts(NamedTuple):
    """Where segments begin in the order of the direction, and what they begin from."""

    at: jax.Array  # [B, T] bool
    carry: Carry  # leaves [B, ...]


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["params", "carry", "xs", "valid", "starts", "packed"],
    meta_fields=["cell", "reverse"],
)
@dataclasses.dataclass(frozen=True)
class Direction(Generic[P, C]):
    """What one direction of a layer computes from; checked and complete."""

    cell: Cell[P, C]
    reverse: bool  # from the last valid step to the first
    params: P
    carry: C  # before the first valid step, leaves [B, ...]
    xs: jax.Array  # [B, T, D], in the dtype of params
    valid: jax.Array | None = None  # [B, T] bool; None means that every step is valid
    starts: Starts | None = None  # None means that the carry never comes back
    packed: jax.Array | None = None  # what `serving.prepare` made of params

    def replace(self, **changes: Any) -> "Direction[P, C]":
        """This direction with other fields."""
        return dataclasses.replace(self, **changes)

    def rows(self) -> "Direction[P, C]":
        """Without the parameters: every array has rows as its first axis."""
        return self.replace(params=None, packed=None)


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What the directions of a layer give: carries, and `[B, T, H]` each or all side by side."""

    carries: tuple[Carry, ...]
    parts: tuple[jax.Array, ...]  # one array for each direction, or a single one
    sizes: tuple[int, ...] | None = None  # of each direction, where all are in a single array

    def join(self) -> jax.Array:
        """The outputs of the directions side by side."""
        return self.parts[0] if len(self.parts) == 1 else jnp.concatenate(self.parts, axis=-1)

    def split(self) -> tuple[jax.Array, ...]:
        """The outputs of each direction."""
        if self.sizes is None:
            return self.parts
        return tuple(jnp.split(self.parts[0], list(itertools.accumulate(self.sizes))[:-1], axis=-1))
