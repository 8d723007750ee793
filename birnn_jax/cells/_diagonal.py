"""Steps whose units see no state but their own, which can be solved over all of time at once."""

import dataclasses
from typing import Generic

from .._core.types import C, Cell, P
from ._gated import G, GatedStep


@dataclasses.dataclass(frozen=True)
class DiagonalStep(GatedStep[P, C, G], Generic[P, C, G]):
    """A `GatedStep` in which unit k of the new carry depends on unit k of the old one only.

    All leaves of the carry are `[H]`. The Jacobian of a step is then diagonal, or a small matrix
    for each unit, and `parallel` finds the states of all steps by Newton iterations.
    """


@dataclasses.dataclass(frozen=True)
class NewtonStep(DiagonalStep[P, C, G], Generic[P, C, G]):
    """A `DiagonalStep` that `scan_cell` solves over all of time at once."""

    def stepwise(self) -> DiagonalStep[P, C, G]:
        """The same step, one after the other."""
        return DiagonalStep(self.gates, self.update)

    def describe_cell(self, cell: Cell) -> str:
        """`parallel` of the cell that goes step by step."""
        return f"parallel({cell._replace(step=self.stepwise())!r})"
