"""The layers of Keras in memory, and in files read by h5py, without Keras or any code of theirs."""

import io
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ._errors import framework
from ._layers import as_numpy

_DIRECTIONS = ["forward_layer", "backward_layer"]
_RECURRENT = {"SimpleRNN", "GRU", "LSTM", "Bidirectional"}
_BY_GATES = {1: "SimpleRNN", 3: "GRU", 4: "LSTM"}


Found = tuple[dict[str, Any], list[np.ndarray]]


def read_layers(source: Any, names: Sequence[str] | None) -> list[Found]:
    """Configuration and weights of layers: those given, or those named in a file."""
    if isinstance(source, str | os.PathLike):
        return _read_file(source, names)
    layers = source if isinstance(source, list | tuple) else [source]
    return [_read_layer(layer) for layer in layers]


def _read_layer(layer: Any) -> Found:
    if not layer.built:
        raise ValueError(f"The layer {layer.name!r} has no weights yet: call or build it first.")
    config = {"class_name": type(layer).__name__, "config": layer.get_config()}
    return config, [as_numpy(array) for array in layer.get_weights()]


def _read_file(path: str | os.PathLike[str], names: Sequence[str] | None) -> list[Found]:
    path = os.fspath(path)
    if not path.endswith((".keras", ".h5")):
        raise ValueError(f"Keras saves models as .keras and weights as .weights.h5, got {path!r}.")
    h5py = framework("h5py", "h5py", "Reading a file of Keras")
    if path.endswith(".h5"):
        with h5py.File(path) as file:
            weights = dict(_saved_layers(file))
        configs = {name: _guessed_config(name, arrays) for name, arrays in weights.items()}
    else:
        with zipfile.ZipFile(path) as archive:
            configs = dict(_configured_layers(json.loads(archive.read("config.json"))))
            stored = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(stored) as file:
            weights = dict(_saved_layers(file))
    chosen = list(configs) if names is None else list(names)
    unknown = [name for name in chosen if name not in configs or name not in weights]
    if unknown or (names is None and len(chosen) != 1):
        raise ValueError(
            f"{path} has the recurrent layers {list(configs)}, got names={names}. Give the names "
            "of the layers to convert, from the bottom to the top."
        )
    return [(configs[name], weights[name]) for name in chosen]


def _configured_layers(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and configurations of recurrent layers, at any depth, in the order of the model."""
    if isinstance(config, dict) and config.get("class_name") in _RECURRENT:
        yield config["config"]["name"], config
    elif isinstance(config, dict | list):
        for value in config.values() if isinstance(config, dict) else config:
            yield from _configured_layers(value)


def _saved_layers(group: Any) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Names and weights of recurrent layers, at any depth, forward weights first.

    Groups are numbered by class, in another order than Keras numbers the names of layers: the name
    is an attribute, where the file is new enough to have it.
    """
    for key, child in group.items():
        if not hasattr(child, "items"):
            continue
        parts = [child[part] for part in _DIRECTIONS if part in child] or [child]
        if all("cell" in part and len(part["cell"].get("vars", ())) for part in parts):
            name = child["vars"].attrs.get("name", key) if "vars" in child else key
            yield str(name), [array for part in parts for array in _arrays(part["cell"]["vars"])]
        else:
            yield from _saved_layers(child)


def _arrays(group: Any) -> list[np.ndarray]:
    return [np.asarray(group[key]) for key in sorted(group, key=int)]


def _guessed_config(name: str, arrays: list[np.ndarray]) -> dict[str, Any]:
    """What shapes tell about a layer; the rest is as Keras has it by default."""
    both = len(arrays) >= 4
    count = len(arrays) // 2 if both else len(arrays)
    units, columns = arrays[1].shape
    bias_ndim = arrays[2].ndim if count == 3 else 2
    settings = {"name": name, "use_bias": count == 3, "reset_after": bias_ndim == 2}
    cell = {"class_name": _BY_GATES.get(columns // units, "SimpleRNN"), "config": settings}
    if not both:
        return cell
    return {"class_name": "Bidirectional",
            "config": {"name": name, "layer": cell, "backward_layer": cell}}  # fmt: skip
