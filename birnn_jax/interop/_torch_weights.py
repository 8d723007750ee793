"""State dicts of PyTorch: where the recurrent modules in them are, and the weights of one."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ._errors import check_keys
from ._layers import as_numpy
from ._torch_resolve import resolve

# A weight, and behind it what PyTorch adds to the names of the parts that it is computed from.
_KEY = re.compile(
    r"(?:(?P<path>.+?)\.)??(?:parametrizations\.)?"
    r"(?P<name>(?:weight|bias)_(?:ih|hh|hr)(?:_l\d+(?:_reverse)?)?)"
    r"(?P<part>|_raw|_orig|_mask|_g|_v|_u|\.original\d*|\.\d+\..+)"
)
# Modules around a module, which PyTorch names in the path: they compute nothing.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}


class Weights(NamedTuple):
    """The weights of one recurrent module."""

    path: str  # of the module in what it was found in, "" for all of it
    arrays: dict[str, np.ndarray]  # by their names in the module


def read_weights(tensors: Mapping[str, Any], prefix: str) -> Weights:
    """The weights of the module under the prefix, or of the only one that there is."""
    path = _choose(_paths(tensors), prefix.removesuffix("."), list(tensors))
    start = f"{path}." if path else ""
    parts: dict[str, dict[str, np.ndarray]] = {}
    surplus = []
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match and _path_of(match, tensors) == path:
            array = _as_array(key, tensor)
            parts.setdefault(match["name"], {})[match["part"]] = array
        elif key.startswith(start):
            surplus.append(key.removeprefix(start))
    arrays = {name: resolve(name, found) for name, found in parts.items()}
    check_keys("state_dict", [*arrays, *surplus], _expected(arrays))
    return Weights(path, arrays)


def is_recurrent(key: str) -> bool:
    """Whether a name in a state dict is that of a weight of a recurrent module."""
    return _KEY.fullmatch(key) is not None


def layer_names(weights: Collection[str]) -> list[list[str]]:
    """How the names of the weights of each layer end, forward first."""
    if "weight_ih" in weights:
        return [[""]]  # a cell
    suffixes = ["", "_reverse"] if any(key.endswith("_reverse") for key in weights) else [""]
    num_layers = 1 + max(_layer_of(key) for key in weights)
    return [[f"_l{index}{suffix}" for suffix in suffixes] for index in range(num_layers)]


def as_tensor(torch: Any, array: np.ndarray) -> Any:
    """The inverse of `as_numpy` for PyTorch."""
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(array)


def _paths(tensors: Mapping[str, Any]) -> list[str]:
    """The paths of all recurrent modules."""
    matches = [match for key in tensors if (match := _KEY.fullmatch(key))]
    return sorted({_path_of(m, tensors) for m in matches if m["name"].startswith("weight_ih")})


def _path_of(match: re.Match[str], tensors: Mapping[str, Any]) -> str:
    """The module of a weight; one that is dropped may be kept in the module around it."""
    path = match["path"] or ""
    inner = f"{path}.module".lstrip(".")
    is_inside = match["part"] == "_raw" and any(key.startswith(f"{inner}.") for key in tensors)
    return inner if is_inside else path


def _choose(paths: list[str], wanted: str, keys: list[str]) -> str:
    """The path that is wanted: the same, one that ends so, or the same but for wrappers."""
    if not paths:
        raise ValueError(
            "state_dict has no weights of a recurrent module, such as 'weight_ih_l0' or "
            f"'rnn.weight_ih_l0'. Keys are {keys[:8]}."
        )
    if wanted in paths:
        return wanted
    if not wanted:
        found = paths
    else:
        bare = _without_wrappers(wanted)
        found = [path for path in paths if f".{path}".endswith(f".{wanted}")] or [
            path for path in paths if f".{_without_wrappers(path)}".endswith(f".{bare}")
        ]
    if len(found) == 1:
        return found[0]
    raise ValueError(
        f"state_dict has the recurrent modules {paths}, of which prefix={wanted!r} names "
        f"{len(found)}. Give prefix as one of {[f'{path}.' if path else path for path in paths]}."
    )


def _without_wrappers(path: str) -> str:
    return ".".join(part for part in path.split(".") if part not in _WRAPPERS)


def _expected(weights: Collection[str]) -> list[str]:
    """All names that a module with some of them has."""
    kinds = ["weight_ih", "weight_hh"]
    kinds += ["bias_ih", "bias_hh"] if any(key.startswith("bias") for key in weights) else []
    kinds += ["weight_hr"] if any(key.startswith("weight_hr") for key in weights) else []
    return [kind + end for ends in layer_names(weights) for end in ends for kind in kinds]


def _layer_of(key: str) -> int:
    """The layer that a key names; 0 for a key of another form, which is reported as surplus."""
    number = key.removesuffix("_reverse").rpartition("_l")[2]
    return int(number) if number.isdecimal() else 0


def _as_array(key: str, tensor: Any) -> np.ndarray:
    if getattr(tensor, "is_quantized", False) or getattr(tensor, "is_meta", False):
        raise ValueError(
            f"{key!r} is a tensor of {tensor.dtype} on the device {str(tensor.device)!r}, which "
            "holds no floating-point numbers. Give the weights from before they were quantised, or "
            "load them onto the CPU."
        )
    if str(getattr(tensor, "layout", "torch.strided")) != "torch.strided":
        tensor = tensor.to_dense()
    return as_numpy(tensor)
