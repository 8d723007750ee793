"""The calls of Flax's recurrent layers, over the functions that take `[B, T, D]` and return all."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from .._core.checks import as_array, check_flag
from .._core.masks import Lengths, Mask, Segments, valid_steps
from .._core.meshes import over_rows
from .._core.types import Bi, Carry, Cell, Params
from .._recurrence.bidirectional import Merge, bidirectional
from .._recurrence.scan_cell import scan_cell
from .._stacks.layer import Layer, LayerParams
from .._stacks.stack import stack
from .carries import as_carries, as_carry

T = TypeVar("T")
Run = Callable[[jax.Array, Lengths, Any], tuple[Any, Any]]


def call_rnn(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    lengths: Lengths,
    *,
    initial_carry: Carry | None,
    reverse: bool,
    keep_order: bool,
    time_major: bool,
    return_carry: bool,
    **settings: Any,
) -> Any:
    """`scan_cell`, called as `flax.linen.RNN` is."""
    check_flag("keep_order", keep_order)
    check_flag("reverse", reverse)

    def run(xs: jax.Array, lengths: Lengths, carry: Any) -> tuple[Carry, jax.Array]:
        carry = as_carry(cell, params, carry)
        carry, ys = scan_cell(
            *(cell, params, xs, lengths), initial_carry=carry, reverse=reverse, **settings
        )
        return carry, ys if keep_order or not reverse else _in_visiting_order(ys, lengths)

    return _call(run, xs, lengths, initial_carry, time_major, return_carry)


def call_bidirectional(
    cell: Cell | Bi[Cell],
    params: Bi[Params],
    xs: jax.Array,
    lengths: Lengths,
    *,
    initial_carry: Any,
    merge: Merge,
    merge_fn: Callable[[jax.Array, jax.Array], Any] | None,
    time_major: bool,
    return_carry: bool,
    **settings: Any,
) -> Any:
    """`bidirectional`, called as `flax.linen.Bidirectional` is."""
    if merge_fn is not None and merge != "concat":
        raise ValueError(f"merge_fn goes in place of merge: leave out merge={merge!r} or merge_fn.")

    def run(xs: jax.Array, lengths: Lengths, carry: Any) -> tuple[Bi[Carry], Any]:
        carry, ys = bidirectional(
            cell,
            params,
            xs,
            lengths,
            initial_carry=as_carry(cell, params, carry),
            merge=merge if merge_fn is None else "none",
            **settings,
        )
        return carry, ys if merge_fn is None else _clear_padding(merge_fn(*ys), xs, lengths)

    return _call(run, xs, lengths, initial_carry, time_major, return_carry)


def call_stack(
    layers: Sequence[Layer],
    params: Sequence[LayerParams],
    xs: jax.Array,
    lengths: Lengths,
    *,
    initial_carry: Any,
    time_major: bool,
    return_carry: bool,
    **settings: Any,
) -> Any:
    """`stack`, called as the layers of Flax are."""

    def run(xs: jax.Array, lengths: Lengths, carries: Any) -> tuple[Any, jax.Array]:
        carries = as_carries(layers, params, carries)
        return stack(layers, params, xs, lengths, initial_carry=carries, **settings)

    return _call(run, xs, lengths, initial_carry, time_major, return_carry)


def first_given(in_call: T | None, in_layer: T) -> T:
    """What a call says, or else the layer."""
    return in_layer if in_call is None else in_call


def only_lengths(lengths: Lengths, seq_lengths: Lengths) -> Lengths:
    """The lengths under the one of their two names that was used."""
    if lengths is not None and seq_lengths is not None:
        raise ValueError("seq_lengths is Flax's name of lengths: give one of them.")
    return lengths if seq_lengths is None else seq_lengths


def _call(
    run: Run, xs: jax.Array, lengths: Lengths, carry: Any, time_major: bool, return_carry: bool
) -> Any:
    """Calls `run`, which is for `[B, T, D]`, with any number of batch dimensions."""
    check_flag("time_major", time_major)
    check_flag("return_carry", return_carry)
    xs = as_array("xs", xs)
    if xs.ndim < 2:
        raise ValueError(
            f"xs must be [B, T, D], or [T, B, D] with time_major=True, got shape {xs.shape}."
        )
    if time_major:
        xs = jnp.moveaxis(xs, 0, -2)
    batch = xs.shape[:-2]
    if len(batch) == 1:
        carry, ys = run(xs, lengths, carry)
    else:
        carry = jax.tree.map(lambda leaf: _merge_batch(leaf, batch), carry)
        carry, ys = run(_merge_batch(xs, batch), _merge_batch_of_lengths(lengths, batch), carry)
        carry, ys = jax.tree.map(lambda leaf: _split_batch(leaf, batch), (carry, ys))
    if time_major:
        ys = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, len(batch), 0), ys)
    return (carry, ys) if return_carry else ys


@over_rows("leaf")
def _merge_batch(leaf: Any, batch: tuple[int, ...]) -> jax.Array:
    leaf = jnp.asarray(leaf)
    if leaf.shape[: len(batch)] != batch:
        return leaf  # which the checks of `run` refuse
    return leaf.reshape(math.prod(batch), *leaf.shape[len(batch) :])


@over_rows("leaf")
def _split_batch(leaf: jax.Array, batch: tuple[int, ...]) -> jax.Array:
    return leaf.reshape(*batch, *leaf.shape[1:])


def _merge_batch_of_lengths(lengths: Lengths, batch: tuple[int, ...]) -> Lengths:
    if lengths is None:
        return None
    if isinstance(lengths, Mask | Segments):
        return type(lengths)(*(_merge_batch(steps, batch) for steps in lengths))
    return _merge_batch(lengths, batch)


@over_rows("ys")
def _in_visiting_order(ys: jax.Array, lengths: Lengths) -> jax.Array:
    """`[B, T, H]` with the valid steps of each row from the last to the first, padding behind."""
    if isinstance(lengths, Mask | Segments):
        raise ValueError(
            f"keep_order=False is for rows that begin with their valid steps, got "
            f"{type(lengths).__name__}. Leave it out: outputs then stay in the order of xs."
        )
    size = ys.shape[1]
    counts = valid_steps(ys, lengths).sum(axis=1, keepdims=True, dtype=jnp.int32)
    steps = (counts - 1 - jnp.arange(size, dtype=jnp.int32)[None]) % size
    return jnp.take_along_axis(ys, steps[..., None], axis=1)


@over_rows("xs")
def _clear_padding(ys: Any, xs: jax.Array, lengths: Lengths) -> Any:
    """What `merge_fn` made of zeros is zero again."""
    if lengths is None:
        return ys
    valid = valid_steps(xs, lengths)

    def clear(leaf: jax.Array) -> jax.Array:
        return jnp.where(valid.reshape(*valid.shape, *[1] * (leaf.ndim - 2)), leaf, 0)

    return jax.tree.map(clear, ys)
