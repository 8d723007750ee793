"""How many Newton iterations a cell takes over given sequences, and how well they agree."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import check_cell, check_flag
from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import Carry, Cell, Params
from .._recurrence.directions import Run, make_directions
from ..cells._diagonal import DiagonalStep
from ..cells._linear import parallel, stepwise
from ..kernels.reference.loop import scan_row, solve_row


class NewtonReport(NamedTuple):
    """What `newton_iterations` found of every row.

    Example:
      >>> from birnn_jax.inspection import NewtonReport
      >>> NewtonReport._fields
      ('iterations', 'residual', 'difference')
    """

    iterations: jax.Array  # [B] int32
    residual: jax.Array  # [B], the largest |s[t] - step(s[t-1], x[t])| that was left
    difference: jax.Array  # [B], the largest one of outputs from those of the stepwise scan


@over_rows("xs")
def newton_iterations(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Carry | None = None,
    reverse: bool = False,
) -> NewtonReport:
    """Counts the Newton iterations of `parallel(cell)`, and compares it with the stepwise scan.

    Iterations end when every step fits to 16 units in the last place, and at T, when all steps are
    exact in any case. On a GPU one iteration is one associative scan over all of time: `parallel`
    pays while there are few of them.

    Args:
      cell: `PARA_GRU`, `PARA_LSTM`, `INDRNN` or another `Cell` whose step is a `DiagonalStep`;
        given to `parallel` or not.
      params: parameters of one direction.
      xs: `[B, T, D]`.
      lengths: as in `scan_cell`.
      initial_carry: as in `scan_cell`.
      reverse: as in `scan_cell`.

    Returns:
      A `NewtonReport` of arrays `[B]`.

    Raises:
      ValueError: if the step of the cell is no `DiagonalStep`; otherwise as `scan_cell`.
      TypeError: as `scan_cell`.

    Example:
      >>> from birnn_jax.cells import PARA_GRU
      >>> from birnn_jax.inspection import newton_iterations
      >>> params = PARA_GRU.init(jax.random.key(0), 3, 4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 50, 3])
      >>> report = newton_iterations(PARA_GRU, params, xs)
      >>> int(report.iterations.max()) < 10, float(report.difference.max()) < 1e-5
      (True, True)

    References:
      Danieli et al., ParaRNN: Unlocking Parallel Training of Nonlinear RNNs for Large Language
      Models, 2025.
    """
    check_cell(cell)
    check_flag("reverse", reverse)
    if not isinstance(cell.step, DiagonalStep):
        raise ValueError(
            "newton_iterations needs a cell whose units see their own state only, whose step is a "
            f"DiagonalStep, such as PARA_GRU; got {cell!r}."
        )
    run = Run(parallel(stepwise(cell)), params, initial_carry, reverse)
    (direction,) = make_directions([run], xs, lengths, None)
    checked = direction.params

    def report(row):
        row = row.replace(params=checked)
        solution, (_, ys) = solve_row(row), scan_row(row)
        _, want = scan_row(row.replace(cell=stepwise(row.cell)))
        difference = jnp.abs(ys - want).max(initial=0)
        return NewtonReport(solution.iterations, solution.residual, difference)

    return jax.vmap(report)(direction.rows())
