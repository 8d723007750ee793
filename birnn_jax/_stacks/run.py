"""The parameters of one layer of a stack, and its run."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._core.affine import affine, init_affine
from .._core.cell_checks import advise
from .._core.describe import describe
from .._core.dtypes import as_compute_dtype, as_output, widen
from .._core.masks import Lengths, clear_padding
from .._core.prepared import unprepared
from .._core.types import Bi, Carry, Params
from .._recurrence.bidirectional import bidirectional, init_bidirectional, init_direction
from .._recurrence.scan_cell import scan_cell
from ..cells._layer_norm import normalise
from .layer import EPSILON, Layer, LayerParams, NormParams


def init_layer(
    layer: Layer, key: jax.Array, *, input_size: int, hidden_size: Any
) -> tuple[LayerParams, int]:
    """The parameters, and the features of the outputs; inputs are those after subsampling."""
    key_rnn = key_projection = key_highway = key
    if layer.projection is not None or layer.connection == "highway":
        key_rnn, key_projection, key_highway = jax.random.split(key, 3)
    params = LayerParams(_init_rnn(layer, key_rnn, input_size, hidden_size))
    size = _recurrence_size(layer, params.rnn, input_size)
    if layer.learned_carry:
        params = params._replace(initial=_init_carry(layer, params.rnn))
    if layer.projection is not None:
        projection = init_affine(key_projection, size, layer.projection)
        params, size = params._replace(projection=projection), layer.projection
    if layer.connection != "none":
        _check_sizes(layer, input_size, size)
    if layer.connection == "highway":
        params = params._replace(highway=init_affine(key_highway, size, size, bias=-1.0))
    if layer.norm != "none":
        normalised = input_size if layer.norm == "pre" else size
        params = params._replace(norm=NormParams(jnp.ones(normalised), jnp.zeros(normalised)))
    return params, size


def run_layer(
    layer: Layer,
    params: LayerParams,
    xs: jax.Array,
    lengths: Lengths,
    *,
    initial_carry: Carry | None,
    key: jax.Array | None,
) -> tuple[Carry, jax.Array]:
    """The carries and the outputs; `xs` and `lengths` are those after subsampling."""
    initial_carry = fill_carry(params.initial, initial_carry, xs.shape[0])
    run = functools.partial(
        _run_rnn, layer, params.rnn, lengths=lengths, initial_carry=initial_carry, key=key
    )
    return run_around(layer, params, xs, lengths, run)


def run_around(
    layer: Layer,
    params: LayerParams,
    xs: jax.Array,
    lengths: Lengths,
    run: Callable[[jax.Array], tuple[Carry, jax.Array]],
) -> tuple[Carry, jax.Array]:
    """What a layer has around its recurrence `run`, `[B, T, D]` to a carry and outputs."""
    if layer.norm == layer.connection == "none" and layer.projection is None:
        return run(xs)
    xs = as_compute_dtype(clear_padding(xs, lengths), unprepared(params))
    carry, ys = run(_layer_norm(params.norm, xs) if layer.norm == "pre" else xs)
    if params.projection is not None:
        ys = affine(params.projection, ys)
    ys = _connect(layer, params, xs, ys)
    if layer.norm == "post":
        ys = _layer_norm(params.norm, ys)
    return carry, clear_padding(ys, lengths)


def _init_rnn(layer: Layer, key: jax.Array, input_size: int, hidden_size: Any) -> Params:
    if layer.direction == "both":
        return init_bidirectional(layer.cell, key, input_size=input_size, hidden_size=hidden_size)
    return init_direction(layer.cells.fwd, key, input_size, hidden_size)


def _init_carry(layer: Layer, rnn: Params) -> Carry:
    cells = layer.cells
    if layer.direction == "both":
        carry = Bi(cells.fwd.init_carry(rnn.fwd), cells.bwd.init_carry(rnn.bwd))
    else:
        carry = cells.fwd.init_carry(rnn)
    for leaf in jax.tree.leaves(carry):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"A learned carry must be of floats, but the cell has {leaf.dtype}.")
    return carry


def fill_carry(learned: Carry | None, given: Carry | None, batch_size: int) -> Carry | None:
    """What was given, the rest as it was learned, with a batch axis."""
    if isinstance(learned, Bi) and isinstance(given, Bi):
        return Bi(*(fill_carry(*pair, batch_size) for pair in zip(learned, given, strict=True)))
    if given is not None or learned is None:
        return given
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (batch_size, *leaf.shape)), learned)


def _run_rnn(
    layer: Layer,
    params: Params,
    xs: jax.Array,
    lengths: Lengths,
    initial_carry: Carry | None,
    key: jax.Array | None,
) -> tuple[Carry, Any]:
    kwargs = {"initial_carry": initial_carry, "key": key}
    kwargs |= {"residuals": layer.residuals, "backend": layer.backend}
    if layer.direction == "both":
        return bidirectional(layer.cell, params, xs, lengths, merge=layer.merge, **kwargs)
    return scan_cell(
        layer.cells.fwd, params, xs, lengths, reverse=layer.direction == "bwd", **kwargs
    )


def _recurrence_size(layer: Layer, rnn: Params, input_size: int) -> int:
    xs = jax.ShapeDtypeStruct((1, 1, input_size), jnp.float32)
    _, ys = jax.eval_shape(lambda rnn, xs: _run_rnn(layer, rnn, xs, None, None, None), rnn, xs)
    return ys.shape[-1]


def _layer_norm(params: NormParams | None, xs: jax.Array) -> jax.Array:
    assert params is not None
    scale, shift = widen(params.scale)[None, None], widen(params.shift)[None, None]
    return as_output(normalise(widen(xs), EPSILON) * scale + shift, params)


def _connect(layer: Layer, params: LayerParams, xs: jax.Array, ys: jax.Array) -> jax.Array:
    if layer.connection == "none":
        return ys
    _check_sizes(layer, xs.shape[-1], ys.shape[-1])
    if layer.connection == "residual":
        return ys + xs
    assert params.highway is not None
    gate = jax.nn.sigmoid(affine(params.highway, xs))
    return gate * ys + (1 - gate) * xs


def _check_sizes(layer: Layer, input_size: int, output_size: int) -> None:
    if input_size != output_size:
        raise ValueError(
            f"connection={layer.connection!r} needs inputs and outputs of one size, got "
            f"{input_size} and {output_size}. Give the layer projection={input_size}."
        )


def check_stack(layers: Sequence[Layer], params: Any) -> None:
    """Refuses parameters of another stack, or of something else."""
    if not isinstance(params, Sequence) or hasattr(params, "_fields"):
        advice = " Give it in a tuple." if isinstance(params, LayerParams) else advise(params)
        raise ValueError(
            "params must hold a LayerParams for each layer, as init_stack makes them, got "
            f"{describe(params)}.{advice}"
        )
    if len(layers) != len(params):
        raise ValueError(f"layers and params must be as many, got {len(layers)} and {len(params)}.")
    for pair in zip(layers, params, strict=True):
        _check_layer(*pair)


def _check_layer(layer: Layer, params: LayerParams) -> None:
    """Refuses parameters of another layer."""
    if not isinstance(params, LayerParams):
        raise ValueError(
            "params must hold a LayerParams for each layer, as init_stack makes them, got "
            f"{describe(params)}."
        )
    parts = {
        "norm": layer.norm != "none",
        "projection": layer.projection is not None,
        "highway": layer.connection == "highway",
        "initial": layer.learned_carry,
    }
    for name, is_needed in parts.items():
        if (getattr(params, name) is not None) != is_needed:
            expected, got = ("parameters", "None") if is_needed else ("None", "parameters")
            raise ValueError(
                f"The params of a layer do not fit it: {name} should be {expected}, got {got}. "
                "Use the layers that were given to init_stack."
            )
