"""Linear cells of a user: their coefficients by XLA, and one native scan for all.

    h[t] = a[t] * h[t-1] + b[t]

The coefficients come from the input alone, for all steps at once, so that JAX differentiates them.
The scan is linear in (b, h, start), which its transpose uses; the derivative by a is
that of b with the states before each step.
"""

import functools
from typing import Any

import jax
import jax.ffi
import jax.numpy as jnp

from ..._core.direction import Direction, Outputs
from ..._core.dtypes import as_output
from ..._core.meshes import scan as scan_steps
from ..._core.types import Carry
from ...cells._linear import LinearStep
from ..moving import start_of, state_of
from ..operation import Operands, Operation
from ..xla.time_order import clear
from . import library
from .cells import plain_step, rates_of
from .noise import advance_noise, draw_noise

Directions = tuple[Direction, ...]


def are_linear(directions: Directions) -> bool:
    """True if every cell of a layer is linear in its state."""
    return all(isinstance(plain_step(direction.cell), LinearStep) for direction in directions)


def run_linear(directions: Directions) -> Outputs:
    """Runs every direction of such a layer."""
    carries, ys = zip(*map(_run, directions), strict=True)
    return Outputs(tuple(carries), tuple(ys))


def _run(direction: Direction) -> tuple[Carry, jax.Array]:
    step, state, start = plain_step(direction.cell), state_of(direction), start_of(direction)
    over_steps = jax.vmap(jax.vmap(step.coefficients, (None, 0)), (None, 0))
    a, b = over_steps(direction.params, clear(direction.xs, direction.valid))
    a, b = _zone_out(direction, a.astype(state.h.dtype), b.astype(state.h.dtype))
    at = None if direction.starts is None else direction.starts.at
    start_h = None if start is None else start.h
    ys, last = _scan(direction.reverse, (direction.valid, at), a, b, state.h, start_h)
    return advance_noise(direction, state._replace(h=last)), as_output(ys, direction.params)


def _zone_out(direction: Direction, a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Zoneout of a linear cell is a linear cell: it keeps a part of h."""
    rate = rates_of(direction.cell).zoneout_h
    if rate == 0:
        return a, b
    kept = draw_noise(direction).zoneout_h
    if kept is None:
        return rate + (1 - rate) * a, (1 - rate) * b
    return jnp.where(kept, 1, a), jnp.where(kept, 0, b)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _scan(
    reverse: bool, flags: Any, a: jax.Array, b: jax.Array, h: jax.Array, start: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """All states, and the last one; `flags` are the valid steps and the starts of segments."""
    results, _ = _bind(reverse, False, flags, a, (b, h, start))
    return results


@_scan.defjvp
def _scan_jvp(reverse: bool, primals: Any, tangents: Any) -> Any:
    (flags, a, *linear), (_, d_a, d_b, d_h, d_start) = primals, tangents
    results, befores = _bind(reverse, True, flags, a, tuple(linear))
    d_results, _ = _bind(reverse, False, flags, a, (d_b + d_a * befores, d_h, d_start))
    return results, d_results


def _bind(reverse: bool, keep: bool, flags: Any, a: jax.Array, linear: Any) -> Any:
    operands = Operands(rows=(a, *flags), d_rows=linear)
    return _forward.bind((reverse, keep), operands).rows


def _define(static: tuple[bool, bool], operands: Operands) -> Operands:
    (reverse, keep), (a, valid, at), (b, h, start) = static, operands.rows, operands.d_rows

    def body(h: jax.Array, step: Any) -> Any:
        a, b, valid, at = step
        before = h if at is None else jnp.where(at[:, None], start, h)
        new = a * before + b
        if valid is None:
            return new, (new, before)
        valid = valid[:, None]
        shown = jnp.where(valid, new, 0), jnp.where(valid, before, 0)
        return jnp.where(valid, new, h), shown

    steps = jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), (a, b, valid, at))
    last, (ys, befores) = scan_steps(body, h, steps, reverse=reverse)
    results = ys.swapaxes(0, 1), last
    return Operands(rows=(results, befores.swapaxes(0, 1) if keep else None))


def _define_back(reverse: bool, operands: Operands) -> Operands:
    """The transpose, by JAX."""
    (_, _, at), (d_ys, d_last) = operands.rows, operands.d_rows
    linear = (d_ys, d_last, None if at is None else d_last)  # of these shapes

    def run(linear: Any) -> Any:
        return _define((reverse, False), Operands(rows=operands.rows, d_rows=linear)).rows[0]

    (grads,) = jax.linear_transpose(run, linear)((d_ys, d_last))
    return Operands(rows=grads)


def _shapes(static: tuple[bool, bool], operands: Operands) -> Operands:
    (_, keep), (a, *_) = static, operands.rows
    ys, last = (jax.ShapeDtypeStruct(shape, a.dtype) for shape in (a.shape, a.shape[::2]))
    return Operands(rows=((ys, last), ys if keep else None))


def _shapes_of_back(reverse: bool, operands: Operands) -> Operands:
    del reverse
    (_, _, at), (d_ys, d_last) = operands.rows, operands.d_rows
    d_b, d_h = (jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in (d_ys, d_last))
    return Operands(rows=(d_b, d_h, None if at is None else d_h))


def _call(static: tuple[bool, bool], operands: Operands) -> Operands:
    (reverse, keep), (a, valid, at), (b, h, start) = static, operands.rows, operands.d_rows
    (ys, last), befores = _shapes(static, operands).rows
    types = [ys, last, befores if keep else _empty(3, a.dtype)]
    run = jax.ffi.ffi_call(library.target_name("birnn_linear_forward", a.dtype), types)
    start = jnp.zeros([0, 0], h.dtype) if start is None else start
    ys, last, befores = run(a, _flags(valid), _flags(at), b, h, start, reverse=reverse)
    return Operands(rows=((ys, last), befores if keep else None))


def _call_back(reverse: bool, operands: Operands) -> Operands:
    (a, valid, at), (d_ys, d_last) = operands.rows, operands.d_rows
    d_b, d_h, d_start = _shapes_of_back(reverse, operands).rows
    types = [d_b, d_h, _empty(2, a.dtype) if d_start is None else d_start]
    run = jax.ffi.ffi_call(library.target_name("birnn_linear_backward", a.dtype), types)
    d_b, d_h, d_start = run(a, _flags(valid), _flags(at), d_ys, d_last, reverse=reverse)
    return Operands(rows=(d_b, d_h, None if at is None else d_start))


def _transpose(static: tuple[bool, bool], cotangents: Operands, operands: Operands) -> Any:
    results, _ = cotangents.rows
    back = Operands(rows=operands.rows, d_rows=results)
    return (), _back.bind(static[0], back).rows


def _flags(flags: jax.Array | None) -> jax.Array:
    return jnp.zeros([0, 0], bool) if flags is None else flags


def _empty(rank: int, dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((0,) * rank, dtype)


_forward = Operation("birnn_linear", _define, _shapes, native=_call, transpose=_transpose)
_back = Operation("birnn_linear_back", _define_back, _shapes_of_back, native=_call_back)
