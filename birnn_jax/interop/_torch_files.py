"""State dicts of PyTorch from modules, mappings and files; no code in a file is ever run."""

import os
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._errors import framework
from ._layers import as_numpy


def read_weights(source: Any, prefix: str) -> dict[str, np.ndarray]:
    """The weights under the prefix, by their names in the module, from wherever they are."""
    if isinstance(source, str | os.PathLike):
        source = _load(os.fspath(source))
    elif hasattr(source, "state_dict"):
        source = source.state_dict()
    found = [key for key in source if key.startswith(prefix)]
    weights = {key.removeprefix(prefix): as_numpy(source[key]) for key in found}
    if "weight_ih_l0" not in weights:
        prefixes = sorted({k[: -len("weight_ih_l0")] for k in source if k.endswith("weight_ih_l0")})
        hint = f"Give prefix as one of {prefixes}." if prefixes else f"Keys are {list(source)[:8]}."
        raise ValueError(f"state_dict has no key {prefix + 'weight_ih_l0'!r}. {hint}")
    return weights


def _load(path: str) -> Mapping[str, Any]:
    if path.endswith(".safetensors"):
        return framework("safetensors.numpy", "safetensors", "A .safetensors file").load_file(path)
    torch = framework("torch", "torch", "A .pt file")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than weights, which would mean running its code. Save "
            "module.state_dict() instead of the module."
        ) from error
