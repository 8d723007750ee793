"""The directions of a layer: the one place that knows how a layer holds its parameters."""

from collections.abc import Callable, Sequence
from typing import Any

from .._core.types import Bi
from .._recurrence.bidirectional import MERGES
from .._stacks.layer import Layer, LayerParams, find_extras


def map_directions(
    function: Callable[..., Any], layer: Layer, params: LayerParams, *extras: Any
) -> Any:
    """`function(cell, params, reverse, *extras)` of each direction: a `Bi`, or the one result.

    Each of `extras` is a `Bi` where the layer has two directions, or None for all of them.
    """
    if layer.direction != "both":
        return function(layer.cells.fwd, params.rnn, layer.direction == "bwd", *extras)
    cells = layer.cells
    pairs = [Bi(None, None) if extra is None else extra for extra in extras]
    return Bi(
        fwd=function(cells.fwd, params.rnn.fwd, False, *(pair.fwd for pair in pairs)),
        bwd=function(cells.bwd, params.rnn.bwd, True, *(pair.bwd for pair in pairs)),
    )


def merge_directions(layer: Layer, ys: Any) -> Any:
    """The outputs of a layer from those of its directions."""
    return MERGES[layer.merge](*ys) if layer.direction == "both" else ys


def unzip(layer: Layer, pairs: Any) -> tuple[Any, Any]:
    """Of a pair from each direction, the first ones and the second ones, each as a `Bi`."""
    if layer.direction != "both":
        return pairs
    return Bi(pairs.fwd[0], pairs.bwd[0]), Bi(pairs.fwd[1], pairs.bwd[1])


def one_each(layers: Sequence[Layer], initial_carry: Sequence[Any] | None) -> list[Any]:
    """An initial carry for each layer, or None; refuses layers that are more than a recurrence."""
    for layer in layers:
        if more := find_extras(layer):
            raise ValueError(
                "Only stacks of recurrences can be looked into, but one of the layers has more: "
                f"{', '.join(f'{name}={value!r}' for name, value in more.items())}."
            )
    return [None] * len(layers) if initial_carry is None else list(initial_carry)
