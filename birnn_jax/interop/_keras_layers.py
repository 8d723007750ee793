"""Recurrent layers of Keras in memory: their configurations, and the weights of their cells."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._layers import as_numpy

CELLS = {"SimpleRNNCell": "SimpleRNN", "GRUCell": "GRU", "LSTMCell": "LSTM"}
CUDNN = {"CuDNNGRU": "GRU", "CuDNNLSTM": "LSTM"}  # layers that are cells of their own
_KINDS = CELLS | CUDNN
RECURRENT = {*CELLS.values(), *CUDNN, "RNN", "Bidirectional"}
KEYS = ["kernel", "recurrent_kernel", "bias"]

Weights = Mapping[str, np.ndarray]  # of one cell, by KEYS


class KerasLayer(NamedTuple):
    """A recurrent layer, wherever it was found."""

    name: str
    config: Mapping[str, Any]  # as Keras writes it, {"class_name": ..., "config": ...}
    weights: Sequence[Sequence[Weights]]  # of each cell of each direction
    is_named: bool = True  # or else known by its place in a file


def read_layer(layer: Any) -> KerasLayer:
    """A layer in memory; a subclass is what it is derived from."""
    name = getattr(layer, "name", type(layer).__name__)
    if not getattr(layer, "built", False):
        raise ValueError(f"The layer {name!r} has no weights yet: call or build it first.")
    if hasattr(layer, "forward_layer"):
        inner = [layer.forward_layer, layer.backward_layer]
        configs = [_config(part) for part in inner]
        settings = {"layer": configs[0], "backward_layer": configs[1], "name": name}
        settings["merge_mode"] = layer.merge_mode
        config = {"class_name": "Bidirectional", "config": settings}
        return KerasLayer(name, config, [_weights(part) for part in inner])
    return KerasLayer(name, _config(layer), [_weights(layer)])


def directions_of(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The configurations of the directions of a layer, forward first."""
    settings = config["config"]
    if "layer" not in settings:
        return [config]
    return [settings["layer"], settings.get("backward_layer") or settings["layer"]]


def cells_of(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The configurations of the cells of one direction."""
    settings = config["config"]
    if "cell" not in settings:
        return [config]
    return settings["cell"]["config"].get("cells", [settings["cell"]])


def class_name(config: Mapping[str, Any]) -> str:
    """The class of Keras that a layer is of, or whose settings a subclass has."""
    settings = config["config"]
    name = str(_KINDS.get(config["class_name"], config["class_name"]))
    if name in RECURRENT or "recurrent_initializer" not in settings or "filters" in settings:
        return name
    if "reset_after" in settings:
        return "GRU"
    return "LSTM" if "unit_forget_bias" in settings else "SimpleRNN"


def _config(layer: Any) -> dict[str, Any]:
    if not hasattr(layer, "cell"):
        raise ValueError(
            f"{type(layer).__name__} {layer.name!r} is no recurrent layer of Keras. Give from_keras"
            " its recurrent layers, such as [model.get_layer(name)], or the path of a file."
        )
    cells = [_cell_config(cell) for cell in _cells(layer)]
    cell = {"class_name": "StackedRNNCells", "config": {"cells": cells}}
    settings = {"name": layer.name, "go_backwards": layer.go_backwards, "cell": cell}
    return {"class_name": "RNN", "config": settings}


def _cells(layer: Any) -> Sequence[Any]:
    if any(kind.__name__ in CUDNN for kind in type(layer).__mro__):
        return [layer]
    return getattr(layer.cell, "cells", [layer.cell])


def _cell_config(cell: Any) -> dict[str, Any]:
    """The settings of the class of Keras that a cell is of or derived from."""
    bases = [kind for kind in type(cell).__mro__ if kind.__name__ in _KINDS]
    if not bases or type(cell).call is not bases[0].call:
        return {"class_name": type(cell).__name__, "config": {"name": cell.name}}
    return {"class_name": bases[0].__name__, "config": bases[0].get_config(cell)}


def _weights(layer: Any) -> list[Weights]:
    return [
        {key: as_numpy(array.numpy() if hasattr(array, "numpy") else array) for key in KEYS
         if (array := getattr(cell, key, None)) is not None}
        for cell in _cells(layer)
    ]  # fmt: skip
