"""One direction of time over a ragged batch."""

import functools

import jax
import jax.numpy as jnp

from ._checks import check_carry, check_features, check_xs
from ._dropout import row_keys
from ._parallel import scan_row_in_parallel
from ._types import Carry, Cell, Params
from ._visits import Lengths, Visits, as_visits
from .cells._linear import ParallelStep
from .cells._noise import add_noise, remove_noise


def scan_cell(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    lengths: Lengths = None,
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
      lengths: `[B]` integers; None means that all T steps are valid. `Mask` and `Segments` say
        more, here and wherever lengths are taken.
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
    visits = as_visits(lengths, xs, reverse=reverse)
    check_features(params, xs)
    carry = _broadcast_carry(cell, params, xs.shape[0])
    if initial_carry is not None:
        check_carry(initial_carry, expected=carry)
        carry = initial_carry
    if key is not None:
        keys = jax.vmap(jax.random.fold_in, in_axes=(0, None))(row_keys(key, xs.shape[0]), reverse)
        carry = add_noise(cell, carry, keys)
    scan_row = functools.partial(_scan_row, cell, params, reverse)
    carry, ys = jax.vmap(scan_row)(_as_compute_dtype(xs, params), visits, carry)
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
    visits: Visits | None,
    initial: Carry,
) -> tuple[Carry, jax.Array]:
    """`xs` is `[T, D]`, leaves of `visits` are `[T]`; every recurrence goes through here."""
    if isinstance(cell.step, ParallelStep):
        return scan_row_in_parallel(cell.step, params, reverse, xs, visits, initial)
    if visits is None:
        return jax.lax.scan(functools.partial(_step, cell, params), initial, xs, reverse=reverse)

    def body(carry, inputs):
        x, visit = inputs
        start = carry if visit.starts is None else _select(visit.starts, initial, carry)
        # The input is masked too: through an unused branch a NaN would still reach the gradient.
        new_carry, y = _step(cell, params, start, jnp.where(visit.valid, x, 0))
        return _select(visit.valid, new_carry, carry), jnp.where(visit.valid, y, 0)

    return jax.lax.scan(body, initial, (xs, visits), reverse=reverse)


def _step(cell: Cell, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
    """`cell.step`, with the dtypes of the carry kept."""
    new_carry, y = cell.step(params, carry, x)
    dtypes = jax.tree.map(lambda leaf: leaf.dtype, carry)
    return jax.tree.map(jax.lax.convert_element_type, new_carry, dtypes), y


def _select(condition: jax.Array, new: Carry, old: Carry) -> Carry:
    return jax.tree.map(functools.partial(jnp.where, condition), new, old)
