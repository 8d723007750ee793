"""A layer by the native kernels: three operations that JAX transforms like its own.

`_forward` gives the outputs of a layer, and the residuals of its derivative. `_tangent` is that
derivative, linear in the tangents. `_backward` is the transpose of `_tangent`. Forward and
backward run native on a CPU, and in a program for another platform as the loops of XLA
(`elsewhere`). Where JAX asks for what the native code does not know (forward mode, derivatives of
derivatives, maps over parameters), each of them stands for its definition, which reads no residual:
the loop of XLA, or that of the reference, for cells and noise which XLA's has not.

Inputs and weights of 16 bits are widened, exactly, on a CPU: in there everything is float32, and so
is what a weight's gradient is added up in; or float64. Other platforms multiply them as they are.
Outputs that the gradient reads are wide everywhere.

Any part of a layer may move while the rest stands still: tangents that are zero are None.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

from ..._core.direction import Direction, Outputs
from ..._core.dtypes import cast_like, sum_dtype, widen
from ...cells._noise import remove_noise
from ..moving import (
    Moving,
    find_wanted,
    join,
    join_directions,
    parts_of,
    replace_parts,
    split,
    split_directions,
    split_tangents,
    state_of,
    where_moving,
)
from ..operation import Operands, Operation
from ..reference import loop as reference
from ..xla.layer import run_layer
from ..xla.loop import Results
from ..xla.plan import Recompute, is_below
from ..xla.rules import find_rule
from . import elsewhere
from .call import call_backward, call_forward
from .cells import find_native_cell
from .heads import take_gradients, with_whole_vectors
from .linear import run_linear
from .noise import advance_noise
from .residuals import Residuals, compute_residuals, shapes_of_residuals

Directions = tuple[Direction, ...]
# (whether gates are stored, whether residuals="auto", what is wanted)
BackwardStatic = tuple[bool, bool, tuple[Moving, ...]]

# LSTM train, milliseconds with gates stored and computed again. An AMD processor with AVX-512: 39.5
# and 34 at 128,50,128,128 (38 MiB), 62 and 63 at 32,128,128,256 (48 MiB), where the system took
# idle memory away in between 86 and 62. A busy Intel processor: with AVX-512 272 and 309, 491 and
# 571 there, with AVX2 346 and 482 at 32,128,128,256.
RECOMPUTE = Recompute(bytes=64 * 2**20, features=400)


def run_natively(directions: Directions, keep_gates: bool, auto: bool = False) -> Outputs:
    """As `run_layer` of the loops of XLA."""
    if find_native_cell(directions) is None:
        return run_linear(directions)
    carries, ys = _run(keep_gates, auto, directions)
    sizes = tuple(state.h.shape[-1] for state in carries)
    return Outputs(tuple(map(advance_noise, directions, carries)), (ys,), sizes)


def keeps_gates(directions: Directions) -> bool:
    """True if gates are stored for the gradient where nothing else is asked for."""
    if find_native_cell(directions) is None:
        return True
    return is_below(RECOMPUTE, directions)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _run(keep_gates: bool, auto: bool, directions: Directions) -> Results:
    del auto
    results, _ = _forward.bind((keep_gates, False), split_directions(directions)).rows
    return results


@functools.partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(keep_gates: bool, auto: bool, primals: Any, tangents: Any) -> Any:
    (directions,), (d_directions,) = primals, tangents
    (carries, ys), residuals = _forward.bind((keep_gates, True), split_directions(directions)).rows
    shared, rows, *_ = split_directions(
        [direction.replace(packed=None) for direction in directions]
    )
    moving = split_tangents(d_directions)
    operands = Operands(shared, (rows, ys, residuals), d_shared=moving.shared, d_rows=moving.rows)
    d_carries, d_ys = _tangent.bind((keep_gates, auto), operands).rows
    dtype = directions[0].xs.dtype
    return (carries, ys.astype(dtype)), (d_carries, d_ys.astype(dtype))


def _widen(directions: Directions) -> Directions:
    return tuple(
        direction.replace(params=widen(direction.params), xs=widen(direction.xs))
        for direction in directions
    )


def _as_native(directions: Directions) -> Directions:
    """Wide, and with recurrent weights as the native code reads them."""
    return tuple(map(with_whole_vectors, _widen(directions)))


def _run_as_it_is(keep_gates: bool, directions: Directions) -> Results:
    """By JAX, in the dtype of the inputs."""
    run = reference.run if find_rule(directions) is None else run_layer
    outputs = run(directions, keep_gates)
    return tuple(map(remove_noise, outputs.carries)), outputs.join()


def _define(keep_gates: bool, directions: Directions) -> Results:
    return _run_as_it_is(keep_gates, _widen(directions))


def _define_forward(
    static: tuple[bool, bool], operands: Operands, run: Callable[..., Results] = _define
) -> Operands:
    keep_gates, keep = static
    directions, residuals = join_directions(operands.shared, operands.rows), None
    if keep:
        residuals = compute_residuals(_widen(jax.lax.stop_gradient(directions)), keep_gates)
    carries, ys = run(keep_gates, directions)
    return Operands(rows=((carries, ys.astype(_out_dtype(directions, keep))), residuals))


def _forward_elsewhere(static: tuple[bool, bool], operands: Operands) -> Operands:
    keep_gates, keep = static
    directions = join_directions(operands.shared, operands.rows)
    if not keep or find_rule(directions) is None:
        return _define_forward(static, operands, _run_as_it_is)
    directions = tuple(direction.replace(packed=None) for direction in directions)
    return Operands(
        rows=elsewhere.run_forward(directions, keep_gates, _out_dtype(directions, keep))
    )


def _out_dtype(directions: Directions, keep: bool) -> Any:
    """Of the outputs of `_forward`, which are residuals, too, if any are kept."""
    dtype = directions[0].xs.dtype
    return sum_dtype(dtype) if keep else dtype


def _define_tangent(static: tuple[bool, bool], operands: Operands) -> Operands:
    """From the arguments alone: the residuals are for the transpose."""
    keep_gates, _ = static
    directions = join_directions(operands.shared, operands.rows[0])
    tangents = join(operands.d_shared, operands.d_rows)
    parts = where_moving(tangents, list(map(parts_of, directions)))
    run = lambda parts: _define(keep_gates, replace_parts(directions, parts))  # noqa: E731
    return Operands(rows=jax.jvp(run, (parts,), (tangents,))[1])


def _define_backward(
    static: BackwardStatic,
    operands: Operands,
    define: Callable[..., Results] = _define,
) -> Operands:
    keep_gates, _, wanted = static
    directions = join_directions(operands.shared, operands.rows[0])
    run = lambda parts: define(keep_gates, replace_parts(directions, parts))  # noqa: E731
    parts = where_moving(wanted, list(map(parts_of, directions)))
    results, transpose = jax.vjp(run, parts)
    (grads,) = transpose(cast_like(operands.d_rows, results))
    return split(grads)


def _backward_elsewhere(static: BackwardStatic, operands: Operands) -> Operands:
    if find_rule(join_directions(operands.shared, operands.rows[0])) is None:
        return _define_backward(static, operands, _run_as_it_is)
    return elsewhere.run_backward(static[1:], operands)


def _shapes_of_forward(static: tuple[bool, bool], operands: Operands) -> Operands:
    keep_gates, keep = static
    directions = join_directions(operands.shared, operands.rows)
    batch_size, num_steps, _ = directions[0].xs.shape
    states = tuple(state_of(direction) for direction in directions)
    size = sum(state.h.shape[-1] for state in states)
    ys = jax.ShapeDtypeStruct((batch_size, num_steps, size), _out_dtype(directions, keep))
    residuals = shapes_of_residuals(directions, keep_gates) if keep else None
    return Operands(rows=((states, ys), residuals))


def _shapes_of_tangent(static: tuple[bool, bool], operands: Operands) -> Operands:
    del static
    rows, ys, _ = operands.rows
    return Operands(rows=(tuple(state_of(direction) for direction in rows), ys))


def _shapes_of_backward(static: BackwardStatic, operands: Operands) -> Operands:
    directions = join_directions(operands.shared, operands.rows[0])
    return split(where_moving(static[-1], list(map(parts_of, directions))))


def _call_forward(static: tuple[bool, bool], operands: Operands) -> Operands:
    (keep_gates, keep), directions = static, join_directions(operands.shared, operands.rows)
    (states, ys), residuals = _shapes_of_forward((keep_gates, True), operands).rows
    stored = residuals if keep else (Residuals(None, None),) * len(directions)
    (carries, ys), stored = call_forward(_as_native(directions), (states, ys), stored)
    results = carries, ys.astype(_out_dtype(directions, keep))
    return Operands(rows=(results, stored if keep else None))


def _call_backward(static: BackwardStatic, operands: Operands) -> Operands:
    (*_, wanted), (rows, ys, residuals) = static, operands.rows
    directions = join_directions(operands.shared, rows)
    grads = call_backward(_as_native(directions), ys, residuals, operands.d_rows, wanted)
    grads = list(map(take_gradients, grads, directions))
    parts = where_moving(wanted, list(map(parts_of, directions)))
    return split(cast_like(where_moving(wanted, grads), parts))


def _transpose_tangent(static: tuple[bool, bool], cotangents: Operands, operands: Operands) -> Any:
    backward = Operands(operands.shared, operands.rows, d_rows=cotangents.rows)
    grads = _backward.bind((*static, find_wanted(operands)), backward)
    return grads.shared, grads.rows


_forward = Operation(
    "birnn_forward",
    _define_forward,
    _shapes_of_forward,
    native=_call_forward,
    elsewhere=_forward_elsewhere,
)
_backward = Operation(
    "birnn_backward",
    _define_backward,
    _shapes_of_backward,
    native=_call_backward,
    elsewhere=_backward_elsewhere,
)
_tangent = Operation(
    "birnn_tangent", _define_tangent, _shapes_of_tangent, transpose=_transpose_tangent
)
