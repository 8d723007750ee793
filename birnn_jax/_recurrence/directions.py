"""The directions of a layer: arguments checked and completed once, and their run."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._core.cell_checks import as_carry, as_inputs, check_kind
from .._core.checks import as_xs, check_choice
from .._core.chunks import run_in_chunks
from .._core.direction import Direction, Outputs, Starts
from .._core.dtypes import cast_like, widen
from .._core.jax_modes import looks_for_nans, refuse_taylor_mode
from .._core.masks import Lengths, clear_padding, segment_starts, valid_steps
from .._core.prepared import (
    PreparedParams,
    open_prepared,
    unprepared,
    without_derivative,
)
from .._core.quantized import has_quantized
from .._core.types import Carry, Cell, Params
from ..cells._linear import stepwise
from ..cells._noise import add_noise, remove_noise
from ..kernels.keys import fold_in_number, row_keys
from ..kernels.xla.plan import get_plan
from .backends import NAMES, BackendName, choose_backend

ResidualsName = Literal["auto", "gates", "states", "chunked"]
RESIDUALS = ("auto", "gates", "states", "chunked")


class Run(NamedTuple):
    """A cell that is run in one direction of time, as the caller gives it."""

    cell: Cell
    params: Params
    initial_carry: Carry | None
    reverse: bool


def run_directions(
    runs: Sequence[Run],
    xs: jax.Array,
    lengths: Lengths,
    *,
    key: jax.Array | None,
    residuals: ResidualsName,
    backend: BackendName,
) -> Outputs:
    """Runs the directions of a layer over the same sequences."""
    check_choice("residuals", residuals, RESIDUALS)
    check_choice("backend", backend, NAMES)
    directions = make_directions(runs, xs, lengths, key)
    if backend == "auto" and not get_plan().parallel:
        directions = tuple(d.replace(cell=stepwise(d.cell)) for d in directions)
    run = _run_chunked if residuals == "chunked" else _run_whole
    outputs = run(directions, residuals, backend)
    return dataclasses.replace(outputs, carries=tuple(map(remove_noise, outputs.carries)))


def make_directions(
    runs: Sequence[Run], xs: jax.Array, lengths: Lengths, key: jax.Array | None
) -> tuple[Direction, ...]:
    """The directions of a layer, checked and complete."""
    refuse_taylor_mode((runs, xs))
    xs = as_xs(xs)
    valid = None if lengths is None else valid_steps(xs, lengths)
    if looks_for_nans():  # in copies of the inputs, too
        xs = clear_padding(xs, lengths)
    keys = None if key is None else row_keys(key, xs.shape[0])
    return tuple(_make_direction(run, xs, lengths, valid, keys) for run in runs)


def _make_direction(
    run: Run,
    xs: jax.Array,
    lengths: Lengths,
    valid: jax.Array | None,
    keys: jax.Array | None,
) -> Direction:
    cell, given, initial_carry, reverse = run
    params, packed = open_prepared(given)
    xs = as_inputs(cell, params, xs)
    carry = _broadcast_carry(cell, params, xs.shape[0])
    if initial_carry is not None:
        carry = as_carry(initial_carry, carry)
    if has_quantized(params):
        params, xs, carry = without_derivative(
            "Parameters of 8 bits give no gradient, neither their own nor that of inputs and "
            "initial carries: rounding has none. Differentiate with the parameters that were "
            "given to serving.quantize.",
            (params, xs, carry),
        )
    keys = fold_in_number(keys, reverse)
    if keys is not None:
        carry = add_noise(cell, carry, keys)
    at = segment_starts(lengths, xs, reverse=reverse)
    starts = None if at is None else Starts(at, carry)
    return Direction(cell, reverse, params, carry, xs, valid, starts, packed)


def prepare_direction(cell: Cell, params: Params) -> PreparedParams:
    """The parameters, with their weights as the backend of the cell reads them."""
    params = unprepared(params)
    check_kind(cell, params)
    if not hasattr(params, "w_x"):  # of a cell that no kernel knows
        return PreparedParams(params, None)
    xs = jnp.zeros((1, 1, jnp.shape(params.w_x)[0]))
    direction = _make_direction(Run(cell, params, None, reverse=False), xs, None, None, None)
    return PreparedParams(params, choose_backend("auto", (direction,)).pack(direction))


def _run_whole(
    directions: tuple[Direction, ...], residuals: ResidualsName, backend: BackendName
) -> Outputs:
    chosen = choose_backend(backend, directions)
    auto = residuals == "auto"
    keep_gates = chosen.keeps_gates(directions) if auto else residuals == "gates"
    return chosen.run(directions, keep_gates, auto and chosen.automatic)


def _run_chunked(
    directions: tuple[Direction, ...], residuals: ResidualsName, backend: BackendName
) -> Outputs:
    """In chunks of about sqrt(T) steps, each of which stores everything while it is run again."""
    del residuals
    params = tuple(widen(direction.params) for direction in directions)

    def run(carries: Any, steps: Any) -> Any:
        chunk = tuple(
            _with_steps(direction, chunk_steps).replace(
                params=cast_like(wide, direction.params), carry=carry
            )
            for direction, wide, carry, chunk_steps in zip(
                directions, params, carries, steps, strict=True
            )
        )
        outputs = _run_whole(chunk, "gates", backend)
        return outputs.carries, outputs.split()

    carries = tuple(direction.carry for direction in directions)
    reverse = tuple(direction.reverse for direction in directions)
    carries, ys = run_in_chunks(run, carries, tuple(map(_steps_of, directions)), reverse)
    return Outputs(carries, ys)


def _steps_of(direction: Direction) -> Any:
    """All that has an axis of time."""
    starts = direction.starts
    return direction.xs, direction.valid, None if starts is None else starts.at


def _with_steps(direction: Direction, steps: Any) -> Direction:
    xs, valid, at = steps
    starts = None if direction.starts is None else direction.starts._replace(at=at)
    return direction.replace(xs=xs, valid=valid, starts=starts)


def _broadcast_carry(cell: Cell, params: Params, batch_size: int) -> Carry:
    carry = cell.init_carry(params)
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch_size, *leaf.shape)), carry)
