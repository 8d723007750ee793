"""Checkpoints of PyTorch as they are found: what is in a file, and which of it are weights."""

import argparse
import codecs
import os
import pathlib
import pickle
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ._errors import framework
from ._files import check_kind, damage_told
from ._safetensors_file import read_safetensors

_ACCEPTED = "checkpoints of torch.save and .safetensors files"
# Weights in 8 bits, of which PyTorch computes something else than a cell does.
_QUANTISED = re.compile(r"_all_weight_values|_packed_weight|_packed_params|\.[ih]gates\.")

_CODE = (
    "which is no weight: reading it would mean running its code. Save module.state_dict() instead; "
    "or, if you trust the file, give from_torch what torch.load(path, weights_only=False) returns."
)
_CAUSES = {
    "torch.ScriptObject": (
        "as a quantised module has, which rounds its inputs to 8 bits too. Convert the module from "
        "before it was quantised."
    )
}


def read_tensors(source: Any) -> dict[str, Any]:
    """All tensors of a module, a mapping or a file, by their names; nested mappings add theirs."""
    if isinstance(source, str | os.PathLike):
        source = _load(os.fspath(source))
    elif hasattr(source, "state_dict"):
        source = source.state_dict()
    if not isinstance(source, Mapping):
        raise ValueError(
            "from_torch takes a module, its state dict or the path of a checkpoint, got "
            f"{type(source).__name__}."
        )
    entries = dict(_entries(source, ""))
    if quantised := [key for key in entries if _QUANTISED.search(key)]:
        raise ValueError(
            f"{quantised[0]!r} is of a quantised module, which rounds its inputs to 8 bits too. "
            "Convert the module from before it was quantised."
        )
    tensors = {key: value for key, value in entries.items() if hasattr(value, "shape")}
    modules = [key for key, value in entries.items() if hasattr(value, "get_submodule")]
    if modules and not tensors:
        raise ValueError(f"There are whole modules under {modules}: give from_torch one of them.")
    return tensors


def _entries(tree: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _entries(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _load(path: str) -> Mapping[str, Any]:
    kinds = ["torch", "pickle", "safetensors"]
    if check_kind(path, kinds, "from_torch", _ACCEPTED) == "safetensors":
        return read_safetensors(path)[0]
    torch = framework("torch", "torch", "A checkpoint of PyTorch")
    try:
        with damage_told(path), torch.serialization.safe_globals(_harmless()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL (\S+)", str(error)):
            raise ValueError(
                f"{path} holds a {found[1]}, {_CAUSES.get(found[1], _CODE)}"
            ) from error
        reason = str(error).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
        raise ValueError(f"{path} is no intact checkpoint of PyTorch: {reason}") from error


def _harmless() -> list[Any]:
    """What training loops store beside weights, and what runs no code when it is read."""
    scalar = np.float64(0).__reduce__()[0]
    array = np.zeros(1).__reduce__()[0]
    kinds = [type(np.dtype(code)) for code in np.typecodes["All"]]
    found: list[Any] = [argparse.Namespace, codecs.encode, np.dtype, np.ndarray, *kinds]
    for room in ("numpy.core.multiarray", "numpy._core.multiarray"):
        found += [(scalar, f"{room}.scalar"), (array, f"{room}._reconstruct")]
    for room in ("pathlib", "pathlib._local"):
        for kind in ("Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"):
            found.append((pathlib.PurePath, f"{room}.{kind}"))
    return found
