"""The ways to compute the directions of a layer: which one is taken changes no result."""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ._chunks import run_in_chunks
from ._plain import scan_row
from ._types import Carry, Cell, Params
from .kernels import Direction, find_form, run_layer

Residuals = Literal["gates", "states", "chunked"]
RESIDUALS = ("gates", "states", "chunked")


class Pass(NamedTuple):
    """One direction of a layer; its arguments are checked and complete."""

    cell: Cell
    params: Params
    reverse: bool
    carry: Carry  # leaves [B, ...]
    xs: jax.Array  # [B, T, D]
    mask: jax.Array | None  # [B, T], True at valid steps


Outputs = tuple[tuple[Carry, jax.Array], ...]  # for each direction its carry and ys [B, T, H]


def run_passes(passes: tuple[Pass, ...], residuals: Residuals) -> Outputs:
    """Runs the directions of one layer, by a kernel where there is one."""
    if residuals == "chunked":
        return _run_chunked(passes)
    forms = {find_form(one.cell, (one.params, one.carry, one.xs)) for one in passes}
    (form, *others) = forms
    if form is None or others:
        return tuple(_run_plain(one, residuals) for one in passes)
    directions = tuple(_to_direction(one) for one in passes)
    outputs = run_layer(form, residuals == "gates", directions)
    return tuple((carry, _to_ys(one, hs)) for one, (carry, hs) in zip(passes, outputs, strict=True))


def _run_plain(one: Pass, residuals: Residuals) -> tuple[Carry, jax.Array]:
    cell, params, reverse, carry, xs, mask = one
    if residuals == "states":
        cell = cell._replace(step=jax.checkpoint(cell.step, prevent_cse=False))
    return jax.vmap(functools.partial(scan_row, cell, params, reverse))(xs, mask, carry)


def _run_chunked(passes: tuple[Pass, ...]) -> Outputs:
    def run(carries: Any, sequences: Any) -> Any:
        chunk = tuple(
            one._replace(carry=carry, xs=xs, mask=mask)
            for one, carry, (xs, mask) in zip(passes, carries, sequences, strict=True)
        )
        carries, ys = zip(*run_passes(chunk, "gates"), strict=True)
        return carries, ys

    carries = tuple(one.carry for one in passes)
    sequences = tuple((one.xs, one.mask) for one in passes)
    reverse = tuple(one.reverse for one in passes)
    return tuple(zip(*run_in_chunks(run, carries, sequences, reverse), strict=True))


def _to_direction(one: Pass) -> Direction:
    if one.mask is None:
        return Direction(one.params, one.carry, _to_visit(one.xs, one.reverse), None)
    mask = one.mask[..., None]
    xs = jnp.where(mask, one.xs, 0)
    return Direction(
        one.params, one.carry, _to_visit(xs, one.reverse), _to_visit(mask, one.reverse)
    )


def _to_visit(xs: jax.Array, reverse: bool) -> jax.Array:
    """`[B, T, .]` to `[T, B, .]` in the order in which a direction visits time."""
    xs = xs.swapaxes(0, 1)
    return xs[::-1] if reverse else xs


def _to_ys(one: Pass, hs: jax.Array) -> jax.Array:
    ys = (hs[::-1] if one.reverse else hs).swapaxes(0, 1)
    return ys if one.mask is None else jnp.where(one.mask[..., None], ys, 0)
