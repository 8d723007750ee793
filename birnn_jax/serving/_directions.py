"""The parameters of every direction of what is served: of a layer, a stack, or a model."""

from collections.abc import Callable
from typing import Any

from .._core.describe import describe
from .._core.types import Bi, Cell, Params
from .._stacks.layer import Layer, LayerParams, Layers, as_layers
from .._stacks.run import check_stack


def map_directions(layers: Layers, params: Any, function: Callable[[Cell, Params], Params]) -> Any:
    """The parameters, with `function` applied to those of every cell; all others stay."""
    fields = getattr(params, "_fields", None)
    if fields is None and isinstance(params, tuple | list):
        layers = as_layers(layers)
        check_stack(layers, params)
        return tuple(
            own._replace(rnn=_map_layer(layer, own.rnn, function))
            for layer, own in zip(layers, params, strict=True)
        )
    for part in ("rnn", "tagger"):  # of the models
        if part in (fields or ()) and not isinstance(params, LayerParams):
            return params._replace(
                **{part: map_directions(layers, getattr(params, part), function)}
            )
    return _map_layer(_as_layer(layers, params), params, function)


def _as_layer(layers: Layers, params: Any) -> Layer:
    """A single layer, whose parameters are a `Bi` or those of one direction."""
    if isinstance(params, LayerParams):  # without the stack around it
        check_stack(as_layers(layers), params)
    cell: Any = layers
    if isinstance(cell, Cell | Bi):
        return Layer(cell) if isinstance(params, Bi) else Layer(cell, direction="fwd")
    raise ValueError(
        "params must be those of a stack, of a model, or of one cell that is given as layers, got "
        f"{describe(params)} for {describe(layers)}."
    )


def _map_layer(layer: Layer, params: Any, function: Callable[[Cell, Params], Params]) -> Any:
    if layer.direction != "both":
        return function(layer.cells.fwd, params)
    cells = layer.cells
    return Bi(function(cells.fwd, params.fwd), function(cells.bwd, params.bwd))
