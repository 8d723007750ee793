"""The calls of the native code: the buffers in the order which C++ knows (`src/dispatch.cc`)."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.ffi
import numpy as np

from ..._core.direction import Direction
from .moving import Moving
from .residuals import Residuals, native_cell

Directions = tuple[Direction, ...]


def call_forward(
    directions: Directions, results: Any, residuals: tuple[Residuals, ...] | None
) -> tuple[Any, tuple[Residuals, ...] | None]:
    """Results `(carries, ys)` and residuals, of the shapes given; None stores nothing."""
    carries, ys = results
    types = (ys, tuple(zip(carries, residuals or [None] * len(carries), strict=True)))
    has_gates = residuals is not None and residuals[0].gates is not None
    keep = (residuals is not None) + has_gates
    ys, by_direction = _call(directions, "forward", _arguments(directions), types, keep=keep)
    carries, stored = zip(*by_direction, strict=True)
    return (carries, ys), None if residuals is None else stored


def call_backward(
    directions: Directions,
    ys: jax.Array,
    residuals: tuple[Residuals, ...],
    cotangents: Any,
    wanted: Sequence[Moving],
) -> list[Moving]:
    """Gradients of each direction; None for parameters or inputs of which nothing is wanted."""
    d_carries, d_ys = cotangents
    wants_params = any(jax.tree.leaves([parts.params for parts in wanted]))
    wants_xs = any(jax.tree.leaves([parts.xs for parts in wanted]))
    types = [
        Moving(
            params=direction.params if wants_params else _nothing(direction.params),
            carry=direction.carry,
            xs=direction.xs if wants_xs else None,
        )
        for direction in directions
    ]
    arguments = list(zip(_arguments(directions), residuals, d_carries, strict=True))
    return _call(
        *(directions, "backward", (ys, d_ys, arguments), types),
        keep=1 + (residuals[0].gates is not None),
        wants_params=wants_params,
        wants_xs=wants_xs,
    )


def _nothing(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: None, tree)


def _arguments(directions: Directions) -> list[Any]:
    return [(d.params, d.carry, d.xs, d.valid) for d in directions]


def _call(directions: Directions, way: str, args: Any, results: Any, **attributes: int) -> Any:
    types, tree = jax.tree.flatten(results)
    call = jax.ffi.ffi_call(f"birnn_{native_cell(directions).name}_{way}", types)
    flat = call(
        *jax.tree.leaves(args),
        reverse=np.array([direction.reverse for direction in directions], np.int64),
        has_valid=np.int64(directions[0].valid is not None),
        **{name: np.int64(value) for name, value in attributes.items()},
    )
    return jax.tree.unflatten(tree, flat)
