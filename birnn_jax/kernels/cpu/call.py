"""The calls of the native code; `src/buffers.h` has the types and the order of the buffers.

XLA checks types, ranks and numbers of buffers. What is not there, a mask, residuals that are not
stored or a gradient that is not wanted, is an array without elements.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.ffi
import jax.numpy as jnp
import numpy as np

from ..._core.direction import Direction
from ..._core.quantized import has_quantized, is_quantized_matrix
from ..._core.types import Carry, Params
from ..moving import Moving, parts_of, start_of, state_of
from . import library
from .carries import cell_state_of, with_cell_state
from .cells import native_cell, rates_of
from .noise import draw_noise
from .residuals import Residuals

Directions = tuple[Direction, ...]

_NAMES = ("w_x", "w_h", "b")  # of parameters that stand alone; all others are `extra`


def call_forward(
    directions: Directions, results: Any, residuals: tuple[Residuals, ...]
) -> tuple[Any, tuple[Residuals, ...]]:
    """Results `(carries, ys)` and residuals, of the shapes given; None is not stored."""
    carries, ys = results
    types = [ys]
    for carry, stored in zip(carries, residuals, strict=True):
        types += _of_carry(carry, ys.dtype) + _fill(stored, ys.dtype)
    arguments: list[Any] = []
    for direction in directions:
        arguments += [*_arguments(direction), *_of_packed(direction)]
    way = "forward_bytes" if has_quantized(directions[0].params) else "forward"
    flat = iter(_call(directions, way, arguments, types))
    ys, got_carries, got_stored = next(flat), [], []
    for carry, stored in zip(carries, residuals, strict=True):
        got_carries.append(_to_carry([next(flat), next(flat)], carry))
        pairs = zip(stored, [next(flat), next(flat)], strict=True)
        got_stored.append(Residuals(*(None if mark is None else leaf for mark, leaf in pairs)))
    return (tuple(got_carries), ys), tuple(got_stored)


def call_backward(
    directions: Directions,
    ys: jax.Array,
    residuals: tuple[Residuals, ...],
    cotangents: Any,
    wanted: Sequence[Moving],
) -> list[Moving]:
    """Gradients of each direction; parameters or inputs of which nothing is wanted are None."""
    (d_carries, d_ys), dtype = cotangents, ys.dtype
    arguments, types = [ys, d_ys], []
    for direction, stored, d_carry, marks in zip(
        directions, residuals, d_carries, wanted, strict=True
    ):
        arguments += _arguments(direction) + _fill(stored, dtype) + _of_carry(d_carry, dtype)
        parts = parts_of(direction)
        has_params = bool(jax.tree.leaves(marks.params))
        leaves = of_params(parts.params)
        types += [leaf if has_params else _empty(leaf.ndim, dtype) for leaf in leaves]
        types += [*_of_carry(parts.state, dtype), parts.xs if marks.xs else _empty(3, dtype)]
        types += _of_carry(parts.start, dtype)
    flat = iter(_call(directions, "backward", arguments, types))
    grads = []
    for direction, marks in zip(directions, wanted, strict=True):
        parts = parts_of(direction)
        params, carry, xs, start = ([next(flat) for _ in range(size)] for size in (4, 2, 1, 2))
        has_params = bool(jax.tree.leaves(marks.params))
        grads.append(
            Moving(
                params=_to_params(params, parts.params) if has_params else marks.params,
                state=_to_carry(carry, parts.state),
                xs=xs[0] if marks.xs else None,
                start=None if parts.start is None else _to_carry(start, parts.start),
            )
        )
    return grads


def call_pack(direction: Direction, packed: jax.ShapeDtypeStruct) -> jax.Array:
    """The weights of a direction, packed as an array of that size and dtype."""
    w_x, w_h, b, extra = of_params(direction.params)
    has_bytes = has_quantized(direction.params)
    rest = _scales(direction.params) if has_bytes else [extra]
    target = library.target_name("birnn_pack_bytes" if has_bytes else "birnn_pack", b.dtype)
    cell, states = native_cell((direction,)).name, state_of(direction).h.shape[-1]
    call = jax.ffi.ffi_call(target, packed)
    return call(w_x, w_h, *rest, cell=cell, states=np.int64(states))


def _call(directions: Directions, way: str, args: Sequence[Any], types: Sequence[Any]) -> Any:
    types = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in types]
    name = library.target_name(f"birnn_{way}_{len(directions)}", directions[0].xs.dtype)
    return jax.ffi.ffi_call(name, types)(
        *args,
        cell=native_cell(directions).name,
        reverse=np.array([direction.reverse for direction in directions], np.int64),
        rates=np.array(list(map(_rates, directions)), np.float64).ravel(),
    )


def _arguments(direction: Direction) -> list[Any]:
    """A layer of `src/buffers.h`."""
    noise, dtype = draw_noise(direction), direction.xs.dtype
    at = None if direction.starts is None else direction.starts.at
    flags = [_or_empty(leaf, 2, bool) for leaf in (direction.valid, at)]
    masks = [noise.candidate, noise.zoneout_c, noise.zoneout_h]
    return [
        *of_params(direction.params),
        *_of_carry(state_of(direction), dtype),
        direction.xs,
        *flags,
        *_of_carry(start_of(direction), dtype),
        _or_empty(noise.seen, 2, dtype),
        *(_or_empty(leaf, 3, bool) for leaf in masks),
    ]


def _rates(direction: Direction) -> tuple[float, float, float]:
    """What the arrays of noise do not say: the scale of a candidate, and expectations."""
    rates = rates_of(direction.cell)
    return 1 / (1 - rates.candidate), rates.zoneout_c, rates.zoneout_h


def of_params(params: Params) -> list[Any]:
    """`[w_x, w_h, b, extra]`, of ranks 2, 2, 1 and 1, for all cells."""
    named = params._asdict()
    w_x, w_h, b = (named.pop(name, None) for name in _NAMES)
    w_x, w_h = (w.values if is_quantized_matrix(w) else w for w in (w_x, w_h))
    w_h = _empty(2, b.dtype) if w_h is None else w_h
    w_h = w_h if len(w_h.shape) == 2 else jnp.reshape(w_h, (1, *w_h.shape))
    rest = [jnp.ravel(leaf) for leaf in named.values()]
    return [w_x, w_h, b, jnp.concatenate(rest) if rest else _empty(1, b.dtype)]


def _of_packed(direction: Direction) -> list[Any]:
    """What follows a layer in the forward pass."""
    if not has_quantized(direction.params):
        return [_or_empty(direction.packed, 1, direction.xs.dtype)]
    return [_or_empty(direction.packed, 1, jnp.int8), *_scales(direction.params)]


def _scales(params: Params) -> list[jax.Array]:
    return [params.w_x.scale, params.w_h.scale]


def _to_params(leaves: Sequence[jax.Array], like: Params) -> Params:
    *first, extra = leaves
    named = dict(zip(_NAMES, first, strict=True))
    others = [name for name in like._fields if name not in named]
    ends = np.cumsum([getattr(like, name).size for name in others])
    named |= dict(zip(others, jnp.split(extra, ends)[:-1], strict=True))
    shapes = {name: leaf.shape for name, leaf in like._asdict().items()}
    return type(like)(**{name: named[name].reshape(shape) for name, shape in shapes.items()})


def _of_carry(carry: Carry | None, dtype: Any) -> list[Any]:
    """`[c, h]`; a cell without c has one without elements."""
    if carry is None:
        return [_empty(2, dtype), _empty(2, dtype)]
    return [_or_empty(cell_state_of(carry), 2, dtype), carry.h]


def _to_carry(leaves: Sequence[jax.Array], like: Carry) -> Carry:
    c, h = leaves
    return with_cell_state(like, c)._replace(h=h)


def _fill(residuals: Residuals, dtype: Any) -> list[Any]:
    return [_or_empty(leaf, 3, dtype) for leaf in residuals]


def _or_empty(leaf: Any, rank: int, dtype: Any) -> Any:
    return _empty(rank, dtype) if leaf is None else leaf


def _empty(rank: int, dtype: Any) -> jax.Array:
    return jnp.zeros((0,) * rank, dtype)
