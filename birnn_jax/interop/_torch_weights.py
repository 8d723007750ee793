"""State dicts of PyTorch: from where they are, and what their names say about the layers."""

import os
import pickle
from collections.abc import Collection, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ._errors import check_keys, framework
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


def layer_names(weights: Collection[str]) -> list[list[str]]:
    """How the names of the weights of each layer end, forward first; all of them are there."""
    suffixes = ["", "_reverse"] if any(key.endswith("_reverse") for key in weights) else [""]
    kinds = ["weight_ih", "weight_hh"]
    kinds += ["bias_ih", "bias_hh"] if any(key.startswith("bias") for key in weights) else []
    kinds += ["weight_hr"] if any(key.startswith("weight_hr") for key in weights) else []
    num_layers = 1 + max(_layer_of(key) for key in weights)
    names = [[f"_l{index}{suffix}" for suffix in suffixes] for index in range(num_layers)]
    check_keys("state_dict", weights, [k + end for ends in names for end in ends for k in kinds])
    return names


def _layer_of(key: str) -> int:
    """The layer that a key names; 0 for a key of another form, which is reported as surplus."""
    number = key.removesuffix("_reverse").rpartition("_l")[2]
    return int(number) if number.isdecimal() else 0


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


def as_tensor(torch: Any, array: np.ndarray) -> Any:
    """The inverse of `as_numpy` for PyTorch."""
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array)
