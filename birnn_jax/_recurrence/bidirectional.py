"""Two directions of time over the same ragged batch."""

from typing import Any, Literal, overload

import jax
import jax.numpy as jnp

from .._core.cell_checks import check_pair
from .._core.checks import as_cells, as_size, check_cell, check_choice, check_key
from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import Bi, C, Cell, P
from .backends import BackendName
from .directions import ResidualsName, Run, run_directions

MergeToArray = Literal["concat", "sum", "mul", "mean"]
Merge = Literal[MergeToArray, "none"]

MERGES = {
    "concat": lambda fwd, bwd: jnp.concatenate([fwd, bwd], axis=-1),
    "sum": lambda fwd, bwd: fwd + bwd,
    "mul": lambda fwd, bwd: fwd * bwd,
    "mean": lambda fwd, bwd: (fwd + bwd) / 2,
    "none": Bi,
}


def init_bidirectional(
    cell: Cell[P, C] | Bi[Cell],
    key: jax.Array,
    input_size: int,
    hidden_size: int | Bi[int],
) -> Bi[P]:
    """Makes the parameters of two directions, drawn independently.

    Args:
      cell: one cell for both directions, or a `Bi` of cells.
      key: consumed.
      input_size: features D of each step.
      hidden_size: hidden units H of each direction, or a `Bi` of sizes.

    Returns:
      `Bi` of cell parameters.

    Example:
      >>> params = init_bidirectional(GRU, jax.random.key(0), input_size=3, hidden_size=4)
      >>> params.bwd.w_h.shape
      (4, 12)
    """
    cells, sizes = as_cells(cell), _pair(hidden_size)
    check_key(key)
    key_fwd, key_bwd = jax.random.split(key)
    return Bi(
        fwd=init_direction(cells.fwd, key_fwd, input_size, sizes.fwd),
        bwd=init_direction(cells.bwd, key_bwd, input_size, sizes.bwd),
    )


@overload
def bidirectional(
    cell: Cell[P, C] | Bi[Cell],
    params: Bi[P],
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Bi[C | None] | None = None,
    merge: MergeToArray = "concat",
    key: jax.Array | None = None,
    residuals: ResidualsName = "auto",
    backend: BackendName = "auto",
) -> tuple[Bi[C], jax.Array]: ...


@overload
def bidirectional(
    cell: Cell[P, C] | Bi[Cell],
    params: Bi[P],
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Bi[C | None] | None = None,
    merge: Literal["none"],
    key: jax.Array | None = None,
    residuals: ResidualsName = "auto",
    backend: BackendName = "auto",
) -> tuple[Bi[C], Bi[jax.Array]]: ...


@over_rows("xs")
def bidirectional(
    cell: Cell[P, C] | Bi[Cell],
    params: Bi[P],
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Bi[C | None] | None = None,
    merge: Merge = "concat",
    key: jax.Array | None = None,
    residuals: ResidualsName = "auto",
    backend: BackendName = "auto",
) -> tuple[Bi[C], Any]:
    """Runs `cell` over `xs` in both directions of time and merges the outputs.

    For each row with n valid steps

        h_fwd[t] = step(params.fwd, h_fwd[t-1], x[t])     t = 1 .. n
        h_bwd[t] = step(params.bwd, h_bwd[t+1], x[t])     t = n .. 1
        y[t]     = [h_fwd[t], h_bwd[t]]

    Steps beyond n do not change the carries, give y = 0 and receive no gradient. A length of 0
    keeps the initial carries, one above T counts as T. Every row is computed as if it were alone.

    Args:
      cell: any `Cell`, or a `Bi` of cells.
      params: `Bi` of cell parameters, from `init_bidirectional`.
      xs: `[B, T, D]`; what stands in padding is never used, NaN included.
      lengths: `[B]` integers; None means that all T steps are valid.
      initial_carry: `Bi` of carries with leaves `[B, ...]`, `bwd` being the one that stands
        before step n. None, in place of the pair or of one carry, means the cell's own.
      merge: "concat" gives `[B, T, 2H]`, forward half first; "sum", "mul" and "mean" give
        `[B, T, H]`; "none" gives a `Bi` of outputs `[B, T, H]`.
      key: consumed by cells that draw noise, as in `scan_cell`. None is evaluation.
      residuals: selects what the forward pass stores for the backward pass, "auto", "gates",
        "states" or "chunked", as in `scan_cell`.
      backend: selects what computes, "auto" or a name from `birnn_jax.backends()`, as in
        `scan_cell`.

    Returns:
      carry: `Bi` of carries with leaves `[B, ...]`; `fwd` is the one after step n, `bwd` the one
        after step 1.
      ys: the merged outputs, in the order of the input.

    Raises:
      ValueError: if ranks or sizes do not fit, `merge`, `residuals` or `backend` is unknown, or
        "cpu_kernel" is asked for and cannot be had.
      TypeError: if `lengths` are not integers.

    Example:
      >>> params = init_bidirectional(LSTM, jax.random.key(0), input_size=3, hidden_size=4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> carry, ys = bidirectional(LSTM, params, xs, jnp.array([5, 2]))
      >>> ys.shape, bool((carry.fwd.h[1] == ys[1, 1, :4]).all())
      ((2, 5, 8), True)

    References:
      Schuster and Paliwal, Bidirectional Recurrent Neural Networks, 1997.
    """
    check_choice("merge", merge, MERGES)
    carries = Bi(None, None) if initial_carry is None else initial_carry
    cells = as_cells(cell)
    for name, value in [("params", params), ("initial_carry", carries)]:
        check_pair(name, value)
    runs = [
        Run(cells.fwd, params.fwd, carries.fwd, reverse=False),
        Run(cells.bwd, params.bwd, carries.bwd, reverse=True),
    ]
    outputs = run_directions(runs, xs, lengths, key=key, residuals=residuals, backend=backend)
    if merge == "concat":  # a kernel may have written them side by side
        return Bi(*outputs.carries), outputs.join()
    ys_fwd, ys_bwd = outputs.split()
    if merge != "none" and ys_fwd.shape != ys_bwd.shape:
        raise ValueError(
            f"merge={merge!r} needs outputs of one size, got {ys_fwd.shape[-1]} and "
            f"{ys_bwd.shape[-1]}. Use 'concat' or 'none'."
        )
    return Bi(*outputs.carries), MERGES[merge](ys_fwd, ys_bwd)


def init_direction(cell: Cell[P, C], key: jax.Array, input_size: int, hidden_size: int) -> P:
    """The parameters of one direction."""
    check_cell(cell)
    check_key(key)
    return cell.init(key, as_size("input_size", input_size), as_size("hidden_size", hidden_size))


def _pair(value: Any) -> Bi[Any]:
    return value if isinstance(value, Bi) else Bi(value, value)
