"""Cells that are linear in their state, which can be scanned in parallel over time."""

import dataclasses
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol

import jax
from typing_extensions import TypeVar

from .._core.checks import check_cell
from .._core.dtypes import as_output
from .._core.types import C, Cell, Options, P, P_contra
from ._diagonal import DiagonalStep, NewtonStep

G = TypeVar("G", default=Any)  # gates


class LinearCarry(NamedTuple):
    """Carry of the cells that are linear in their state."""

    h: jax.Array  # [H]


class CoefficientsFn(Protocol[P_contra]):
    """What one step does to the state."""

    def __call__(self, params: P_contra, x: jax.Array, /) -> tuple[jax.Array, jax.Array]:
        """`(a, b)` of `h[t] = a * h[t-1] + b`, each `[H]`, from the input alone."""
        ...


@dataclasses.dataclass(frozen=True)
class GatedCoefficients(Generic[P, G]):
    """A `CoefficientsFn` by way of gates, which inspection shows under their names."""

    gates: Callable[[P, jax.Array], G]  # (params, x) -> a NamedTuple of [H]
    combine: Callable[[G], tuple[jax.Array, jax.Array]]  # gates -> (a, b)

    def __call__(self, params: P, x: jax.Array, /) -> tuple[jax.Array, jax.Array]:
        """The coefficients of one step."""
        return self.combine(self.gates(params, x))


@dataclasses.dataclass(frozen=True)
class LinearStep(Generic[P]):
    """The `StepFn` `h[t] = a * h[t-1] + b`; steps with the same `coefficients` are equal."""

    coefficients: CoefficientsFn[P]

    def __call__(
        self, params: P, carry: LinearCarry, x: jax.Array, /
    ) -> tuple[LinearCarry, jax.Array]:
        """One step."""
        a, b = self.coefficients(params, x)
        h = a * carry.h + b
        return LinearCarry(h), as_output(h, params)


@dataclasses.dataclass(frozen=True)
class ParallelStep(LinearStep[P]):
    """A `LinearStep` that `scan_cell` evaluates over all of time at once."""

    def stepwise(self) -> LinearStep[P]:
        """The same step, one after the other."""
        return LinearStep(self.coefficients)

    def describe_cell(self, cell: Cell) -> str:
        """`parallel` of the cell that goes step by step."""
        return f"parallel({cell._replace(step=self.stepwise())!r})"


def parallel(cell: Cell[P, C, Options]) -> Cell[P, C, Options]:
    """The same cell, but computed in parallel over time: O(log T) rounds instead of T steps.

    A cell that is linear in its state takes one associative scan. A cell whose units see their own
    state only takes one for each Newton iteration, until all steps fit to the last digits; that is
    a few, or, for weights that amplify from step to step, many: `newton_iterations`
    of `birnn_jax.inspection` counts them.

    The function, its padding, directions, carries and parameters stay the same. It pays where
    there are more processors than a step can use: on a GPU or TPU, for long sequences. On a CPU
    backend="auto" steps all the same, as a rule the faster way there; "xla" does not.

    Args:
      cell: linear in its state: `MINGRU`, `MINLSTM`, or a `Cell` whose step is a `LinearStep`; or
        with units that see themselves only: `PARA_GRU`, `PARA_LSTM`, `INDRNN`, or a `Cell` whose
        step is a `DiagonalStep`.

    Raises:
      ValueError: if the step is of neither kind.

    Example:
      >>> from birnn_jax.cells import MINGRU, parallel
      >>> params = MINGRU.init(jax.random.key(0), 3, 4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> stepped, at_once = (scan_cell(cell, params, xs)[1] for cell in (MINGRU, parallel(MINGRU)))
      >>> bool(jnp.allclose(stepped, at_once, atol=1e-6))
      True

    References:
      Blelloch, Prefix Sums and Their Applications, 1990; Danieli et al., ParaRNN: Unlocking
      Parallel Training of Nonlinear RNNs for Large Language Models, 2025 (Newton iterations).
    """
    check_cell(cell)
    step = cell.step
    if isinstance(step, LinearStep):
        return cell._replace(step=ParallelStep(step.coefficients))
    if isinstance(step, DiagonalStep):
        return cell._replace(step=NewtonStep(step.gates, step.update))
    raise ValueError(
        "parallel needs a cell that is linear in its state, whose step is a LinearStep, such as "
        "MINGRU, or one whose units see their own state only, whose step is a DiagonalStep, such "
        f"as PARA_GRU; got {cell!r}."
    )


def is_parallel(step: Any) -> bool:
    """True for a step that `parallel` made."""
    return isinstance(step, ParallelStep | NewtonStep)


def stepwise(cell: Cell) -> Cell:
    """The cell that `parallel` was given; another cell as it is."""
    step = cell.step
    is_made = isinstance(step, ParallelStep | NewtonStep)
    return cell._replace(step=step.stepwise()) if is_made else cell
