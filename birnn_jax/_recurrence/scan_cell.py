"""One direction of time over a ragged batch."""

import jax
import jax.numpy as jnp

from .._core.checks import check_carry, check_choice, check_params, check_xs
from .._core.dtypes import at_least, compute_dtype
from .._core.keys import row_keys
from .._core.masks import Lengths, as_visits
from .._core.types import Carry, Cell, Params
from ..cells._noise import add_noise
from ..kernels import BACKENDS, Backend
from .run import RESIDUALS, Pass, Residuals, run_passes


def scan_cell(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    initial_carry: Carry | None = None,
    reverse: bool = False,
    key: jax.Array | None = None,
    residuals: Residuals = "auto",
    backend: Backend = "auto",
) -> tuple[Carry, jax.Array]:
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
      initial_carry: the carry before the first visited step, leaves `[B, ...]`; its dtypes are
        kept through the scan, but are those of `cell.initial_carry(params)` at least. None means
        that carry in every row.
      reverse: from the last valid step to the first. Outputs stay in the order of the input.
      key: consumed by cells that draw noise, such as `birnn_jax.cells.zoneout(LSTM, h=0.1)`; one
        key or `[B]` keys as in `birnn_jax.dropout`. The noise of a row is a function of its key,
        the direction and the count of steps visited. None is evaluation.
      residuals: what is kept for the gradient; changes memory and time, not results. "gates"
        keeps everything that it reads, "states" the carry of every step, from which the rest is
        computed again, "auto" is the one of them that was faster at such sizes, "chunked" one carry
        in every sqrt(T) steps, for very long sequences: each chunk is run a second time.
      backend: what computes; changes time, not results. "xla" is always there, "cpu_kernel" is
        native code for ELMAN, GRU and LSTM on CPUs, in float32 or 16 bits, "auto" takes it where it
        can. `birnn_jax.backends()` says what is there.

    Returns:
      carry: the carry after the last visited step, leaves `[B, ...]`.
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
    check_choice("residuals", residuals, RESIDUALS)
    check_choice("backend", backend, BACKENDS)
    one = make_pass(
        cell, params, xs, lengths, initial_carry=initial_carry, reverse=reverse, key=key
    )
    outputs = run_passes((one,), residuals, backend)
    return outputs.carries[0], outputs.join()


def make_pass(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    lengths: Lengths,
    *,
    initial_carry: Carry | None,
    reverse: bool,
    key: jax.Array | None,
) -> Pass:
    """Checks the arguments of one direction and completes them."""
    check_xs(xs)
    visits = as_visits(lengths, xs, reverse=reverse)
    xs = as_compute_dtype(xs, params)
    check_params(cell, params, xs)
    carry = _broadcast_carry(cell, params, xs.shape[0])
    if initial_carry is not None:
        check_carry(initial_carry, expected=carry)
        carry = jax.tree.map(at_least, initial_carry, carry)
    if key is not None:
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(row_keys(key, xs.shape[0]), reverse)
        carry = add_noise(cell, carry, keys)
    return Pass(cell, params, reverse, carry, xs, visits)


def _broadcast_carry(cell: Cell, params: Params, batch_size: int) -> Carry:
    carry = cell.initial_carry(params)
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch_size, *leaf.shape)), carry)


def as_compute_dtype(xs: jax.Array, params: Params) -> jax.Array:
    """`xs` in the dtype of the parameters."""
    dtype = compute_dtype(params)
    return xs if dtype is None or not jnp.issubdtype(xs.dtype, jnp.floating) else xs.astype(dtype)
