"""The ways to compute the directions of a layer: which one is taken changes no result."""

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from ._chunks import run_in_chunks
from ._dtypes import cast_like, widen
from ._plain import scan_row
from ._types import Carry, Cell, Params
from ._visits import Visits
from .cells._noise import remove_noise
from .kernels import Direction, Form, find_form, run_layer

Residuals = Literal["gates", "states", "chunked"]
RESIDUALS = ("gates", "states", "chunked")


class Pass(NamedTuple):
    """One direction of a layer; its arguments are checked and complete."""

    cell: Cell
    params: Params
    reverse: bool
    carry: Carry  # leaves [B, ...]
    xs: jax.Array  # [B, T, D]
    visits: Visits | None  # leaves [B, T]


Outputs = tuple[tuple[Carry, jax.Array], ...]  # for each direction its carry and ys [B, T, H]


def run_passes(passes: tuple[Pass, ...], residuals: Residuals) -> Outputs:
    """Runs the directions of one layer, by a kernel where there is one."""
    initial = tuple(one.carry for one in passes)
    run = _run_chunked if residuals == "chunked" else functools.partial(_run_whole, residuals)
    return tuple((remove_noise(carry), ys) for carry, ys in run(passes, initial))


def _run_whole(residuals: Residuals, passes: tuple[Pass, ...], initial: Any) -> Outputs:
    forms = {_find_form(one) for one in passes}
    (form, *others) = forms
    if form is None or others:
        plain = functools.partial(_run_plain, residuals)
        return tuple(plain(*one) for one in zip(passes, initial, strict=True))
    outputs = run_layer(form, residuals == "gates", tuple(_to_direction(one) for one in passes))
    return tuple((carry, _to_ys(one, hs)) for one, (carry, hs) in zip(passes, outputs, strict=True))


def _find_form(one: Pass) -> Form | None:
    has_segments = one.visits is not None and one.visits.starts is not None
    return None if has_segments else find_form(one.cell, (one.params, one.xs), one.carry)


def _run_plain(residuals: Residuals, one: Pass, initial: Carry) -> tuple[Carry, jax.Array]:
    cell, params, reverse, carry, xs, visits = one
    if residuals == "states":
        cell = cell._replace(step=jax.checkpoint(cell.step, prevent_cse=False))
    run = jax.vmap(functools.partial(scan_row, cell, params, reverse))
    return run(xs, visits, carry, initial)


def _run_chunked(passes: tuple[Pass, ...], initial: Any) -> Outputs:
    def run(carries: Any, sequences: Any) -> Any:
        chunk = tuple(
            one._replace(params=cast_like(wide, one.params), carry=carry, xs=xs, visits=visits)
            for one, wide, carry, (xs, visits) in zip(
                passes, params, carries, sequences, strict=True
            )
        )
        carries, ys = zip(*_run_whole("gates", chunk, initial), strict=True)
        return carries, ys

    params = tuple(widen(one.params) for one in passes)
    sequences = tuple((one.xs, one.visits) for one in passes)
    reverse = tuple(one.reverse for one in passes)
    return tuple(zip(*run_in_chunks(run, initial, sequences, reverse), strict=True))


def _to_direction(one: Pass) -> Direction:
    if one.visits is None:
        return Direction(one.params, one.carry, _to_visit(one.xs, one.reverse), None)
    mask = one.visits.valid[..., None]
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
    return ys if one.visits is None else jnp.where(one.visits.valid[..., None], ys, 0)
