"""`SimpleRNN`, `GRU`, `LSTM`, `RNN` and `Bidirectional` of Keras: parameters, states, files.

A file is read without Keras, by h5py, also with the `CuDNNLSTM` and `CuDNNGRU` of Keras 2.

Keras holds the last output in padding unless `zero_output_for_mask=True`, which `Bidirectional`
sets; here it is zero. A backward layer of its own (`go_backwards=True`) returns steps in the order
in which it visits them; here a layer with direction "bwd" returns them in the order of the input.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.types import Bi, Carry, Cell
from .._recurrence.bidirectional import MergeToArray
from .._stacks.layer import Layer, LayerParams, Layers, as_layers
from ._errors import framework
from ._files import named_in_errors
from ._keras_cells import export_cell, import_cell
from ._keras_files import read_file
from ._keras_layers import KerasLayer, cells_of, directions_of, read_layer
from ._layers import (
    CellParams,
    Imported,
    cell_name,
    export_states,
    from_stack,
    import_states,
    to_stack,
)

_CLASSES = {
    "ELMAN": ("SimpleRNN", {}),
    "RELU": ("SimpleRNN", {"activation": "relu"}),
    "GRU": ("GRU", {}),
    "GRU_RESET_BEFORE": ("GRU", {"reset_after": False}),
    "LSTM": ("LSTM", {}),
}
_MERGES: dict[str | None, MergeToArray] = {
    "concat": "concat",
    "sum": "sum",
    "mul": "mul",
    "ave": "mean",
    None: "concat",
}


def from_keras(source: Any, *, names: str | Sequence[str] | None = None) -> Imported:
    """Converts recurrent layers of Keras 2 or 3 into layers and parameters.

    Outputs are equal where no dropout acts. A subclass is converted as the class of Keras that it
    is derived from: what else it computes is not.

    Args:
      source: a built layer, a sequence of them from the bottom to the top, or the path of a .keras
        or .h5 file, of a model or of weights alone. The latter have no configuration: activations,
        merges and directions are taken to be those that Keras has by default.
      names: for a file, of the layers to take, from the bottom to the top, or one name; of layers
        in models inside a model also "MODEL/LAYER". None is for a file with one recurrent layer.

    Returns:
      layers: with the merges and directions of the source; several for an `RNN` of several cells.
        `merge_mode=None`, two outputs in Keras, is merge="concat": its halves are those outputs.
      params: biases that are absent (`use_bias=False`) are zero.

    Raises:
      ValueError: if a layer is unknown or unbuilt, names do not tell which is meant, shapes do not
        fit, it has no cell here, or a file is not what it should be.
    """
    with named_in_errors(source):
        if isinstance(source, str | os.PathLike):
            found = read_file(source, names)
        else:
            given = source if isinstance(source, list | tuple) else [source]
            found = [read_layer(layer) for layer in given]
        converted = [_convert(layer, last=at == len(found) - 1) for at, layer in enumerate(found)]
        return tuple(layer for layers, _ in converted for layer in layers), tuple(
            params for _, stacked in converted for params in stacked
        )


def to_keras(layers: Layers, params: Sequence[LayerParams]) -> list[Any]:
    """Built layers of Keras that compute the same, returning sequences and states.

    They take a mask `[B, T]` and give zero in padding. One with direction "bwd" returns its steps
    in the order of its visits, so it is refused below another layer.

    Args:
      layers: of the stack.
      params: of the layers.

    Raises:
      ValueError: for a cell that Keras has not.
    """
    keras = framework("keras", "keras", "to_keras")
    exported = []
    layers = as_layers(layers)
    for layer, directions in from_stack(layers, params):
        if layer.direction == "bwd" and len(exported) < len(layers) - 1:
            raise ValueError(_ORDER)
        inner = [
            _make_layer(
                keras, cell, cell_params, go_backwards=layer.direction == "bwd" or index == 1
            )
            for index, (cell, cell_params) in enumerate(directions)
        ]
        made = inner[0]
        if len(inner) == 2:
            merge = {ours: theirs for theirs, ours in _MERGES.items() if theirs}[layer.merge]
            made = keras.layers.Bidirectional(
                inner[0], backward_layer=inner[1], merge_mode=merge, dtype=inner[0].dtype
            )
        made.build((None, None, directions[0][1].w_x.shape[0]))
        made.set_weights(
            [array for _, cell_params in directions for array in export_cell(cell_params)]
        )
        exported.append(made)
    return exported


def _make_layer(keras: Any, cell: Cell, cell_params: Any, *, go_backwards: bool) -> Any:
    class_name, options = _CLASSES[cell_name(cell, "Keras", _CLASSES)]
    return getattr(keras.layers, class_name)(
        cell_params.w_h.shape[0],
        return_sequences=True,
        return_state=True,
        zero_output_for_mask=True,
        go_backwards=go_backwards,
        dtype=str(cell_params.b.dtype),
        **options,
    )


def states_from_keras(layers: Layers, states: Sequence[Sequence[Any]]) -> tuple[Carry, ...]:
    """Carries for `stack` from the states that each layer of Keras returns after its output.

    Args:
      layers: of the stack.
      states: for each layer `[h]`, or `[h, c]` of an LSTM; of two directions first all states of
        the forward one, then all of the backward one.

    Raises:
      ValueError: if they are not those of the layers.

    Example:
      >>> from birnn_jax.interop.keras import states_from_keras, states_to_keras
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> carries, _ = stack(layers, params, jnp.zeros([2, 5, 3]))
      >>> again = states_from_keras(layers, states_to_keras(carries))
      >>> again[0].bwd.c.shape
      (2, 4)
    """
    layers = as_layers(layers)
    halves = [
        (state[: len(state) // 2], state[len(state) // 2 :]) if layer.direction == "both" else state
        for layer, state in zip(layers, states, strict=False)  # counted below
    ]
    return import_states(layers, halves, lambda s: (s[0], s[1] if len(s) == 2 else None))


def states_to_keras(carries: Sequence[Carry]) -> list[list[np.ndarray]]:
    """The states of each layer as Keras takes them for `initial_state`.

    Args:
      carries: from `stack`.
    """
    states = export_states(carries, lambda h, c: [h] if c is None else [h, c])
    return [[*state[0], *state[1]] if isinstance(state, tuple) else state for state in states]


_ORDER = (
    "A layer with go_backwards=True hands its steps to the layer above in reversed order, which no "
    "direction of a Layer does; it can be converted as the last layer only."
)


def _convert(source: KerasLayer, *, last: bool) -> Imported:
    """One layer, or one for each cell of an `RNN` of several."""
    if not source.weights:
        raise ValueError(
            f"Nothing says which weights are those of {source.name!r}. Load the model in Keras, and"
            " give from_keras its layers."
        )
    settings = source.config["config"]
    directions = [
        [import_cell(source.name, *cell) for cell in zip(cells_of(part), weights, strict=True)]
        for part, weights in zip(directions_of(source.config), source.weights, strict=True)
    ]
    if len(directions) == 2:
        return _both_directions(source.name, settings, directions)
    layers, params = to_stack(directions[0])
    if settings.get("go_backwards", False):
        if not last:
            raise ValueError(_ORDER)
        layers = tuple(Layer(layer.cell, direction="bwd") for layer in layers)
    return layers, params


def _both_directions(
    name: str, settings: Mapping[str, Any], directions: list[list[CellParams]]
) -> Imported:
    merge = settings.get("merge_mode", "concat")
    forward = settings["layer"]["config"].get("go_backwards", False)
    if merge not in _MERGES or forward:
        raise ValueError(
            f"The Bidirectional {name!r} with {merge=} and go_backwards={forward} of its forward "
            f"layer is no Layer: merges are {', '.join(map(repr, _MERGES))}, and the forward layer "
            "goes forward."
        )
    if len(directions[0]) > 1:
        raise ValueError(
            f"The Bidirectional {name!r} runs {len(directions[0])} cells in one direction before it"
            " joins the directions, which is no stack of layers. Convert its forward_layer and its "
            "backward_layer one by one."
        )
    (layer,), params = to_stack([Bi(*(cells[0] for cells in directions))])
    return (Layer(layer.cell, merge=_MERGES[merge]),), params
