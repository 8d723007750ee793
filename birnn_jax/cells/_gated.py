"""A step in two halves: the gates, then what they do to the state."""

import dataclasses
from typing import Any, Protocol

import jax

from .._core.types import Carry, Params


class GatesFn(Protocol):
    """The half of a step that reads the input."""

    def __call__(self, params: Params, carry: Carry, x: jax.Array) -> Any:
        """All gates as a NamedTuple of `[H]`, the candidate being called `g` or `n`."""
        ...


class UpdateFn(Protocol):
    """The half of a step that writes the state."""

    def __call__(self, params: Params, carry: Carry, gates: Any) -> tuple[Carry, jax.Array]:
        """The new carry and the output."""
        ...


@dataclasses.dataclass(frozen=True)
class GatedStep:
    """A `StepFn` made of `gates` and `update`; steps made of the same functions are equal.

    The cut is where regularisers and inspection need it: what the gates see of the old state, and
    what they are, can be changed without changing the state that is kept.
    """

    gates: GatesFn
    update: UpdateFn

    def __call__(self, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
        """One step: `update` with the gates of `x`."""
        return self.update(params, carry, self.gates(params, carry, x))
