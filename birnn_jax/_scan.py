"""One direction of time over a ragged batch."""

import functools

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ._checks import as_lengths, check_carry, check_features, check_xs
from ._dropout import row_keys
from ._parallel import scan_row_in_parallel
from ._types import Carry, Cell, Params
from .cells._linear import ParallelStep
from .cells._noise import add_noise, remove_noise


def scan_cell(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    lengths: ArrayLike | None = None,
    *,
    initial_carry: Carry | None = None,
    reverse: bool = False,
    key: jax.Array | None = None,
) -> tuple[Carry, jax.Array]:
    """Runs `cell` over the valid steps of every row of `xs`, in one direction of time.

    For a row with n valid steps, with `reverse` in the order n .. 1

        carry, y[t] = step(params, carry, x[t])     t = 1 .. n

    Steps beyond n do not change the carry, give y = 0 and receive no gradient. A length of 0
    keeps the initial carry, one above T counts as T. Every row is computed as if it were alone.

    Args:
      cell: any `Cell`.
      params: parameters from `cell.init`. The computation is done in their dtype.
      xs: `[B, T, D]`; what stands in padding is never used, NaN included.
      lengths: `[B]` integers; None means that all T steps are valid.
      initial_carry: the carry before the first visited step, leaves `[B, ...]`; its dtypes are
        kept through the scan. None means `cell.initial_carry(params)` in every row.
      reverse: from the last valid step to the first. Outputs stay in the order of the input.
      key: consumed by cells that draw noise, such as `birnn_jax.cells.zoneout(LSTM, h=0.1)`; one
        key or `[B]` keys as in `birnn_jax.dropout`. The noise of a row is a function of its key,
        the direction and the count of steps visited. None is evaluation.

    Returns:
      carry: the carry after the last visited step, leaves `[B, ...]`.
      ys: `[B, T, H]`.

    Raises:
      ValueError: if ranks, sizes or the structure of the carry do not fit.
      TypeError: if `lengths` are not integers.

    Example:
      >>> params = LSTM.init(jax.random.key(0), 3, 4)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 5, 3])
      >>> carry, ys = scan_cell(LSTM, params, xs, jnp.array([5, 2]), reverse=True)
      >>> ys.shape, bool((carry.h == ys[:, 0]).all()), bool((ys[1, 2:] == 0).all())
      ((2, 5, 4), True, True)
    """
    check_xs(xs)
    lengths = as_lengths(lengths, batch_size=xs.shape[0])
    check_features(params, xs)
    carry = _broadcast_carry(cell, params, xs.shape[0])
    if initial_carry is not None:
        check_carry(initial_carry, expected=carry)
        carry = initial_carry
    if key is not None:
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(row_keys(key, xs.shape[0]), reverse)
        carry = add_noise(cell, carry, keys)
    scan_row = functools.partial(_scan_row, cell, params, reverse)
    carry, ys = jax.vmap(scan_row)(_as_compute_dtype(xs, params), lengths, carry)
    return remove_noise(carry), ys


def _broadcast_carry(cell: Cell, params: Params, batch_size: int) -> Carry:
    carry = cell.initial_carry(params)
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch_size, *leaf.shape)), carry)


def _as_compute_dtype(xs: jax.Array, params: Params) -> jax.Array:
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(params)]
    floating = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]
    if not floating or not jnp.issubdtype(xs.dtype, jnp.floating):
        return xs
    return xs.astype(jnp.result_type(*floating))


def _scan_row(
    cell: Cell,
    params: Params,
    reverse: bool,
    xs: jax.Array,
    length: jax.Array | None,
    carry: Carry,
) -> tuple[Carry, jax.Array]:
    """`xs` is `[T, D]`, `length` a scalar; every recurrence goes through here."""
    is_valid = None if length is None else jnp.arange(xs.shape[0], dtype=length.dtype) < length
    if isinstance(cell.step, ParallelStep):
        return scan_row_in_parallel(cell.step, params, reverse, xs, is_valid, carry)

    def select(valid, new, old):
        return new if valid is None else jnp.where(valid, new, old)

    def body(carry, inputs):
        x, valid = inputs
        # The input is masked too: through an unused branch a NaN would still reach the gradient.
        new_carry, y = cell.step(params, carry, select(valid, x, jnp.zeros_like(x)))
        new_carry = jax.tree.map(
            lambda new, old: jax.lax.convert_element_type(new, old.dtype), new_carry, carry
        )
        carry = jax.tree.map(functools.partial(select, valid), new_carry, carry)
        return carry, select(valid, y, jnp.zeros_like(y))

    return jax.lax.scan(body, carry, (xs, is_valid), reverse=reverse)
