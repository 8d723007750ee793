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

from ._form import Form
from ._operation import Operation
from ._order import Outputs, Sequences, run_by_xla
from ._saved import CELLS, Saved, compute_saved


class Setting(NamedTuple):
    """What is known before any array."""

    form: Form
    keep_gates: bool
    reverse: tuple[bool, ...]  # of each direction


class _Args(NamedTuple):
    """Of `_tangent` and of `_backward`, for one direction."""

    sequences: Sequences
    ys: jax.Array
    saved: Saved
    d: Any  # `Sequences` of tangents, or the cotangents of `(carry, ys)`


def run_natively(
    form: Form, keep_gates: bool, reverse: tuple[bool, ...], sequences: tuple[Sequences, ...]
) -> Outputs:
    """As `run_by_xla`."""
    return _run(Setting(form, keep_gates, reverse), sequences)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _run(setting: Setting, sequences: tuple[Sequences, ...]) -> Outputs:
    return _forward.bind((setting, False), sequences)[0]


@functools.partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(setting: Setting, primals: Any, tangents: Any) -> Any:
    (sequences,), (d_sequences,) = primals, tangents
    outputs, saved = _forward.bind((setting, True), sequences)
    args = tuple(
        _Args(one, ys, keep, _simplify(d, one))
        for one, (_, ys), keep, d in zip(sequences, outputs, saved, d_sequences, strict=True)
    )
    return outputs, _tangent.bind(setting, args)


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


def _define_forward(static: tuple[Setting, bool], sequences: Any) -> tuple[Outputs, Any]:
    setting, keep = static
    outputs = run_by_xla(*setting, sequences)
    saved = compute_saved(*setting, jax.lax.stop_gradient(sequences)) if keep else None
    return outputs, saved


def _define_tangent(setting: Setting, args: tuple[_Args, ...]) -> Outputs:
    """From the arguments alone: what was saved is for the transpose."""
    sequences = tuple(one.sequences for one in args)
    moving = [_moving(one.sequences, one.d) for one in args]
    run = lambda moving: run_by_xla(*setting, _replace(sequences, moving))  # noqa: E731
    return jax.jvp(run, (moving,), ([_moving(one.d, one.d) for one in args],))[1]


def _define_backward(
    static: tuple[Setting, bool, bool], args: tuple[_Args, ...]
) -> tuple[Sequences, ...]:
    setting, wants_params, wants_xs = static
    sequences = tuple(one.sequences for one in args)
    wanted = Sequences(wants_params or None, True, wants_xs or None, None)
    moving = [_moving(one, wanted) for one in sequences]
    run = lambda moving: run_by_xla(*setting, _replace(sequences, moving))  # noqa: E731
    (d_moving,) = jax.vjp(run, moving)[1](tuple(one.d for one in args))
    return tuple(_replace([Sequences(*[None] * 4)] * len(args), d_moving))


def _moving(one: Sequences, d: Sequences) -> dict[str, Any]:
    """The fields of `one` that `d` has."""
    return {name: getattr(one, name) for name in d._fields if getattr(d, name) is not None}


def _replace(sequences: Any, fields: list[dict[str, Any]]) -> tuple[Sequences, ...]:
    return tuple(one._replace(**some) for one, some in zip(sequences, fields, strict=True))


def _shapes_of_forward(static: tuple[Setting, bool], sequences: Any) -> Any:
    setting, keep = static
    cell = CELLS[setting.form]
    outputs, saved = [], []
    for one in sequences:
        ys = _floats(*one.xs.shape[:2], one.params.w_h.shape[0])
        gates = _floats(*ys.shape[:2], 4 * ys.shape[2])
        outputs.append((one.carry, ys))
        saved.append(
            Saved(
                cs=ys if cell.has_cs else None,
                gates=gates if cell.has_gates and setting.keep_gates else None,
            )
        )
    return tuple(outputs), tuple(saved) if keep else None


def _shapes_of_tangent(setting: Setting, args: tuple[_Args, ...]) -> Any:
    del setting
    return tuple((one.sequences.carry, one.ys) for one in args)


def _shapes_of_backward(static: tuple[Setting, bool, bool], args: tuple[_Args, ...]) -> Any:
    _, wants_params, wants_xs = static
    return tuple(
        Sequences(
            params=one.sequences.params if wants_params else None,
            carry=one.sequences.carry,
            xs=one.sequences.xs if wants_xs else None,
            valid=None,
        )
        for one in args
    )


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _call_forward(static: tuple[Setting, bool], sequences: Any) -> Any:
    setting, keep = static
    outputs, saved = _shapes_of_forward(static, sequences)
    saved = [None] * len(outputs) if saved is None else saved
    results = _call(
        setting,
        "forward",
        sequences,
        sequences,
        list(zip(outputs, saved, strict=True)),
        keep=_keep_code(*static),
    )
    outputs, saved = zip(*results, strict=True)
    return outputs, saved if keep else None


def _call_backward(static: tuple[Setting, bool, bool], args: tuple[_Args, ...]) -> Any:
    setting, wants_params, wants_xs = static
    return _call(
        setting,
        "backward",
        tuple(one.sequences for one in args),
        args,
        _shapes_of_backward(static, args),
        keep=_keep_code(setting, True),
        wants_params=np.int64(wants_params),
        wants_xs=np.int64(wants_xs),
    )


def _keep_code(setting: Setting, keep: bool) -> np.int64:
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


def _transpose_tangent(setting: Setting, cotangents: Outputs, args: tuple[_Args, ...]) -> Any:
    wants_params, wants_xs = (args[0].d.params is not None, args[0].d.xs is not None)
    args = tuple(one._replace(d=d) for one, d in zip(args, cotangents, strict=True))
    return _backward.bind((setting, wants_params, wants_xs), args)


_forward = Operation("birnn_forward", _define_forward, _shapes_of_forward, native=_call_forward)
_backward = Operation(
    "birnn_backward", _define_backward, _shapes_of_backward, native=_call_backward
)
_tangent = Operation(
    "birnn_tangent", _define_tangent, _shapes_of_tangent, transpose=_transpose_tangent
)
