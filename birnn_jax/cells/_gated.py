"""A step in two halves: the gates, then what they do to the state."""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any, Generic, Protocol

import jax
from typing_extensions import TypeVar

from .._core.describe import name_function
from .._core.types import C, C_contra, Cell, CellPart, P, P_contra

G = TypeVar("G", default=Any)  # gates
G_co = TypeVar("G_co", covariant=True)
G_contra = TypeVar("G_contra", contravariant=True, default=Any)


class GatesFn(Protocol[P_contra, C_contra, G_co]):
    """The half of a step that reads the input."""

    def __call__(self, params: P_contra, carry: C_contra, x: jax.Array, /) -> G_co:
        """All gates as a NamedTuple of `[H]`, the candidate being called `g` or `n`."""
        ...


class UpdateFn(Protocol[P_contra, C, G_contra]):
    """The half of a step that writes the state."""

    def __call__(self, params: P_contra, carry: C, gates: G_contra, /) -> tuple[C, jax.Array]:
        """The new carry and the output."""
        ...


@dataclasses.dataclass(frozen=True)
class GatedStep(Generic[P, C, G]):
    """A `StepFn` made of `gates` and `update`; steps made of the same functions are equal.

    The cut is where regularisers and inspection need it: what the gates see of the old state, and
    what they are, can be changed without changing the state that is kept.
    """

    gates: GatesFn[P, C, G]
    update: UpdateFn[P, C, G]

    def __call__(self, params: P, carry: C, x: jax.Array, /) -> tuple[C, jax.Array]:
        """One step: `update` with the gates of `x`."""
        return self.update(params, carry, self.gates(params, carry, x))

    def describe_cell(self, cell: Cell) -> str | None:
        """What the gates say, if they know how the cell was made."""
        return self.gates.describe_cell(cell) if isinstance(self.gates, CellPart) else None


@dataclasses.dataclass(frozen=True)
class ActivationGates:
    """A `GatesFn` with a nonlinearity to choose; pickled with the name of the nonlinearity.

    The functions of `jax.nn` and `jax.numpy` are objects that cannot be pickled themselves.
    """

    activation: Callable[[jax.Array], jax.Array]

    def __reduce__(self) -> Any:
        return _with_activation, (type(self), _import_path(self.activation) or self.activation)


_MODULES = {"jnp": "jax.numpy", "jax.nn": "jax.nn", "jax.lax": "jax.lax"}


def _import_path(function: Any) -> str | None:
    module, _, name = name_function(function).rpartition(".")
    return f"{_MODULES[module]}.{name}" if module in _MODULES else None


def _with_activation(
    gates: type[ActivationGates], activation: str | Callable[[jax.Array], jax.Array]
) -> ActivationGates:
    if not isinstance(activation, str):
        return gates(activation)
    module, _, name = activation.rpartition(".")
    return gates(getattr(importlib.import_module(module), name))
