"""One direction of time over a ragged batch."""

import jax

from .._core.checks import check_cell, check_flag
from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import C, Cell, P
from .backends import BackendName
from .directions import ResidualsName, Run, run_directions


@over_rows("xs")
def scan_cell(
    cell: Cell[P, C],
    params: P,
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: C | None = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    residuals: ResidualsName = "auto",
    backend: BackendName = "auto",
) -> tuple[C, jax.Array]:
    """Runs `cell` over the valid steps of every row of `xs`, in one direction of time.

    For a row with n valid steps, with `reverse` in the order n .. 1

        carry, y[t] = step(params, carry, x[t])     t = 1 .. n

    Steps beyond n do not change the carry, give y = 0 and receive no gradient. A length of 0
    keeps the initial carry, one above T counts as T. Every row is computed as if it were alone.

    Args:
      cell: any `Cell`.
      params: parameters from `cell.init`. Products and outputs are in their dtype; in bfloat16 the
        built-in cells keep sums, gates and the carry in float32.
      xs: `[B, T, D]`; what stands in padding is never used, NaN included.
      lengths: `[B]` integers; None means that all T steps are valid. `Mask` and `Segments` say
        more, here and wherever lengths are taken.
      initial_carry: the carry before the first valid step, leaves `[B, ...]`; its dtypes are
        kept through the scan, and are those of `cell.init_carry(params)` at least. None means
        that carry in every row.
      reverse: from the last valid step to the first. Outputs stay in the order of the input.
      key: consumed by cells that draw noise, such as `birnn_jax.cells.zoneout(LSTM, h=0.1)`; one
        key or `[B]` keys as in `birnn_jax.dropout`. The noise of a row is a function of its key,
        the direction and the number of valid steps before. None is evaluation.
      residuals: selects what the forward pass stores for the backward pass; it changes memory and
        time, not results. "gates" stores everything that the backward pass reads. "states" stores
        the carry of every step and computes the rest again. "auto" (default) picks the faster of
        the two at such sizes. "chunked" uses O(sqrt(T)) memory, for very long sequences: it stores
        one carry in every sqrt(T) steps and runs each chunk a second time.
      backend: selects what computes; it changes time, not results. "cpu_kernel" is native code on
        CPUs, in float32, float64 or 16 bits, for all built-in cells and for cells that are linear
        in their state; noise and `Segments` included. "tpu_kernel" and "gpu_kernel" are one
        Pallas kernel for all steps on a TPU and on a Hopper GPU (elsewhere "xla"), which "auto"
        does not take yet. "xla" is JAX itself, on any device. "reference" is the definition, a
        `lax.scan` over the step of any cell. "auto" (default) is the first of the others that can
        compute the layer. `birnn_jax.backends()` lists them.

    Returns:
      carry: the carry after the last valid step, leaves `[B, ...]`.
      ys: `[B, T, H]`, in the dtype of `params`.

    Raises:
      ValueError: if ranks, sizes or the structure of the carry do not fit, `params` are those of
        another cell, `residuals` or `backend` is unknown, or "cpu_kernel" is asked for and cannot
        be had.
      TypeError: if `lengths` are not integers.

    Example:
      >>> params = LSTM.init(jax.random.key(0), 3, 4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> carry, ys = scan_cell(LSTM, params, xs, jnp.array([5, 2]), reverse=True)
      >>> ys.shape, bool((carry.h == ys[:, 0]).all()), bool((ys[1, 2:] == 0).all())
      ((2, 5, 4), True, True)
    """
    check_cell(cell)
    check_flag("reverse", reverse)
    run = Run(cell, params, initial_carry, reverse)
    outputs = run_directions([run], xs, lengths, key=key, residuals=residuals, backend=backend)
    return outputs.carries[0], outputs.join()
