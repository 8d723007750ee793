"""Checkpoints of PyTorch as they are found: what is in a file, and which of it are weights."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ._files import check_kind, damage_told
from ._safetensors_file import read_safetensors
from ._torch_pickles import load_pickle
from ._torch_weights import is_recurrent

_ACCEPTED = "checkpoints of torch.save and .safetensors files"
# Weights in 8 bits, of which PyTorch computes something else than a cell does.
_QUANTISED = re.compile(r"_all_weight_values|_packed_weight|_packed_params|\.[ih]gates\.")
_IN_ANOTHER_SHARD = np.zeros(0)


def open_source(source: Any) -> Any:
    """A module or a mapping: what was given, or what is in the file at a path."""
    if isinstance(source, str | os.PathLike):
        source = _load(os.fspath(source))
    if not isinstance(source, Mapping) and not hasattr(source, "state_dict"):
        raise ValueError(
            "from_torch takes a module, its state dict or the path of a checkpoint, got "
            f"{type(source).__name__}."
        )
    return source


def read_tensors(source: Any) -> dict[str, Any]:
    """All tensors of a module or a mapping by their names; what is nested in it adds its own."""
    entries = dict(_entries({"": source}, ""))
    if quantised := [key for key in entries if _QUANTISED.search(key)]:
        raise ValueError(
            f"{quantised[0]!r} is of a quantised module, which rounds its inputs to 8 bits too. "
            "Convert the module from before it was quantised."
        )
    return {key: value for key, value in entries.items() if hasattr(value, "shape")}


def _entries(tree: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        is_module = hasattr(value, "state_dict") and not isinstance(value, type)
        inner = value.state_dict() if is_module else value
        if isinstance(inner, Mapping):
            yield from _entries(inner, f"{name}." if name else "")
        else:
            yield name, inner


def _load(path: str) -> Any:
    kinds = ["torch", "pickle", "safetensors", "shards"]
    match check_kind(path, kinds, "from_torch", _ACCEPTED):
        case "safetensors":
            return read_safetensors(path)[0]
        case "shards":
            return _load_shards(path)
        case kind:
            return load_pickle(path, is_archive=kind == "torch")


def _load_shards(path: str) -> Mapping[str, Any]:
    """A checkpoint in several files, of which those are read that hold recurrent weights."""
    with open(path, "rb") as file, damage_told(path):
        places = dict(json.load(file)["weight_map"])
    tensors = dict.fromkeys(places, _IN_ANOTHER_SHARD)
    for name in sorted({shard for key, shard in places.items() if is_recurrent(key)}):
        tensors |= read_tensors(_load(os.path.join(os.path.dirname(path), name)))
    return tensors
