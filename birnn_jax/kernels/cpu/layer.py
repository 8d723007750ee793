"""A layer by the native kernels: three operations that JAX transforms like its own.

`_forward` gives the outputs of a layer, and what its derivative wants to find again. `_tangent` is
that derivative, linear in the tangents. `_backward` is the transpose of `_tangent`. Forward and
backward run native on a CPU. Everywhere else, and where JAX asks for what the native code does not
know (forward mode, derivatives of derivatives, maps over parameters), each of them stands for its
definition in terms of `run_by_xla`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.ffi
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from ..._core.dtypes import widen
from ..xla.cell_rule import Form
from ..xla.loop import Results, run_by_xla
from ..xla.order import Outputs, Sequences
from .operation import Operation
from .residuals import CELLS, Saved, compute_saved


class Setting(NamedTuple):
    """What is known before any array."""

    form: Form
    keep_gates: bool
    reverse: tuple[bool, ...]  # of each direction


class _Direction(NamedTuple):
    sequences: Sequences
    saved: Saved
    d: Any  # `Sequences` of tangents, or the cotangents of the carry


class _Args(NamedTuple):
    """Of `_tangent` and of `_backward`."""

    ys: jax.Array
    d_ys: jax.Array | None  # cotangents
    directions: tuple[_Direction, ...]


def run_natively(
    form: Form, keep_gates: bool, reverse: tuple[bool, ...], sequences: tuple[Sequences, ...]
) -> Outputs:
    """As `run_by_xla`, with the outputs in one array.

    Inputs and weights of 16 bits are widened, exactly, before; outputs are narrowed after. In
    between everything is float32, and so is what a weight's gradient is added up in.
    """
    dtype = sequences[0].xs.dtype
    wide = tuple(one._replace(params=widen(one.params), xs=widen(one.xs)) for one in sequences)
    carries, ys = _run(Setting(form, keep_gates, reverse), wide)
    sizes = tuple(one.params.w_h.shape[0] for one in sequences)
    return Outputs(carries, (ys.astype(dtype),), sizes)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _run(setting: Setting, sequences: tuple[Sequences, ...]) -> Results:
    return _forward.bind((setting, False), sequences)[0]


@functools.partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(setting: Setting, primals: Any, tangents: Any) -> Any:
    (sequences,), (d_sequences,) = primals, tangents
    (carries, ys), saved = _forward.bind((setting, True), sequences)
    d_sequences = map(_simplify, d_sequences, sequences)
    directions = tuple(map(_Direction, sequences, saved, d_sequences))
    return (carries, ys), _tangent.bind(setting, _Args(ys, None, directions))


def _simplify(d: Sequences, primal: Sequences) -> Sequences:
    """Parameters and inputs that do not move are None."""
    params, xs = (
        None if all(map(_is_zero, jax.tree.leaves(part, is_leaf=_is_zero))) else part
        for part in (d.params, d.xs)
    )
    moving = Sequences(params, d.carry, xs, None)
    still = Sequences(*(None if m is None else p for m, p in zip(moving, primal, strict=True)))
    return jax.tree.map(
        lambda d, primal: jnp.zeros_like(primal) if _is_zero(d) else d,
        moving,
        still,
        is_leaf=_is_zero,
    )


def _is_zero(tangent: Any) -> bool:
    return isinstance(tangent, SymbolicZero)


def _define(setting: Setting, sequences: tuple[Sequences, ...]) -> Results:
    outputs = run_by_xla(*setting, sequences)
    return outputs.carries, outputs.join()


def _define_forward(static: tuple[Setting, bool], sequences: Any) -> tuple[Results, Any]:
    setting, keep = static
    saved = compute_saved(*setting, jax.lax.stop_gradient(sequences)) if keep else None
    return _define(setting, sequences), saved


def _define_tangent(setting: Setting, args: _Args) -> Results:
    """From the arguments alone: what was saved is for the transpose."""
    sequences = tuple(one.sequences for one in args.directions)
    primals = [_moving(one.sequences, one.d) for one in args.directions]
    tangents = [_moving(one.d, one.d) for one in args.directions]
    run = lambda moving: _define(setting, _replace(sequences, moving))  # noqa: E731
    return jax.jvp(run, (primals,), (tangents,))[1]


def _define_backward(static: tuple[Setting, bool, bool], args: _Args) -> tuple[Sequences, ...]:
    setting, wants_params, wants_xs = static
    sequences = tuple(one.sequences for one in args.directions)
    wanted = Sequences(wants_params or None, True, wants_xs or None, None)
    primals = [_moving(one, wanted) for one in sequences]
    run = lambda moving: _define(setting, _replace(sequences, moving))  # noqa: E731
    cotangents = (tuple(one.d for one in args.directions), args.d_ys)
    (grads,) = jax.vjp(run, primals)[1](cotangents)
    return _replace([Sequences(None, None, None, None)] * len(grads), grads)


def _moving(one: Sequences, d: Sequences) -> dict[str, Any]:
    """The fields of `one` that `d` has."""
    return {name: getattr(one, name) for name in d._fields if getattr(d, name) is not None}


def _replace(sequences: Any, fields: list[dict[str, Any]]) -> tuple[Sequences, ...]:
    return tuple(one._replace(**some) for one, some in zip(sequences, fields, strict=True))


def _shapes_of_forward(static: tuple[Setting, bool], sequences: Any) -> Any:
    setting, keep = static
    cell = CELLS[setting.form]
    batch_size, num_steps, _ = sequences[0].xs.shape
    saved = []
    for one in sequences:
        hidden_size = one.params.w_h.shape[0]
        cs = _floats(batch_size, num_steps, hidden_size)
        gates = _floats(batch_size, num_steps, 4 * hidden_size)
        has_gates = cell.has_gates and setting.keep_gates
        saved.append(Saved(cs if cell.has_cs else None, gates if has_gates else None))
    size = sum(one.params.w_h.shape[0] for one in sequences)
    carries = tuple(one.carry for one in sequences)
    return (carries, _floats(batch_size, num_steps, size)), tuple(saved) if keep else None


def _shapes_of_tangent(setting: Setting, args: _Args) -> Results:
    del setting
    return tuple(one.sequences.carry for one in args.directions), args.ys


def _shapes_of_backward(static: tuple[Setting, bool, bool], args: _Args) -> tuple[Sequences, ...]:
    _, wants_params, wants_xs = static
    return tuple(
        Sequences(
            params=one.params if wants_params else None,
            carry=one.carry,
            xs=one.xs if wants_xs else None,
            valid=None,
        )
        for one, _, _ in args.directions
    )


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _call_forward(static: tuple[Setting, bool], sequences: Any) -> tuple[Results, Any]:
    setting, keep = static
    (carries, ys), saved = _shapes_of_forward(static, sequences)
    types = (ys, tuple(zip(carries, saved or [None] * len(carries), strict=True)))
    ys, directions = _call(setting, "forward", sequences, sequences, types, keep=_code(*static))
    carries, saved = zip(*directions, strict=True)
    return (carries, ys), saved if keep else None


def _call_backward(static: tuple[Setting, bool, bool], args: _Args) -> tuple[Sequences, ...]:
    setting, wants_params, wants_xs = static
    sequences = tuple(one.sequences for one in args.directions)
    types = _shapes_of_backward(static, args)
    wants = {"wants_params": np.int64(wants_params), "wants_xs": np.int64(wants_xs)}
    return _call(setting, "backward", sequences, args, types, keep=_code(setting, True), **wants)


def _code(setting: Setting, keep: bool) -> np.int64:
    """As in dispatch.cc: nothing, states, gates."""
    return np.int64(keep + (keep and setting.keep_gates))


def _call(
    setting: Setting, way: str, sequences: Any, args: Any, results: Any, **attributes: Any
) -> Any:
    """Arguments and results in the order in which `jax.tree` flattens them, which C++ knows."""
    types, tree = jax.tree.flatten(results)
    has_valid = any(one.valid is not None for one in sequences)
    call = jax.ffi.ffi_call(f"birnn_{CELLS[setting.form].name}_{way}", types)
    flat = call(
        *jax.tree.leaves(args),
        reverse=np.array(setting.reverse, np.int64),
        has_valid=np.int64(has_valid),
        **attributes,
    )
    return jax.tree.unflatten(tree, flat)


def _transpose_tangent(setting: Setting, cotangents: Results, args: _Args) -> Any:
    d = args.directions[0].d
    d_carries, d_ys = cotangents
    directions = tuple(
        one._replace(d=d_carry) for one, d_carry in zip(args.directions, d_carries, strict=True)
    )
    args = _Args(args.ys, d_ys, directions)
    return _backward.bind((setting, d.params is not None, d.xs is not None), args)


_forward = Operation("birnn_forward", _define_forward, _shapes_of_forward, native=_call_forward)
_backward = Operation(
    "birnn_backward", _define_backward, _shapes_of_backward, native=_call_backward
)
_tangent = Operation(
    "birnn_tangent", _define_tangent, _shapes_of_tangent, transpose=_transpose_tangent
)
