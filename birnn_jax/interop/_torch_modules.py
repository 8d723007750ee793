"""What a module of PyTorch in memory says beyond its state dict."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from ._layers import as_numpy


def check_in_use(module: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Parametrised weights are those that the module computes with, which is not always so."""
    names = getattr(module, "_flat_weights_names", [])
    for name in getattr(module, "parametrizations", ()):
        if name not in names:
            continue
        in_use, epsilon = (
            module._flat_weights[names.index(name)],
            jnp.finfo(weights[name].dtype).eps,
        )
        if not np.allclose(as_numpy(in_use), weights[name], rtol=32 * epsilon, atol=32 * epsilon):
            raise ValueError(
                f"PyTorch does not compute with the parametrised {name!r} of its state dict but "
                "with an older one (pytorch/pytorch#65688). Decide which is meant: give from_torch "
                f"the state dict, or call remove_parametrizations(module, {name!r}) first."
            )


def submodule(source: Any, path: str) -> Any:
    """The module at a path of a module, or of a mapping with modules; None in one of tensors."""
    if not isinstance(source, Mapping):  # nor by `get_submodule`, which TorchScript has not
        return functools.reduce(getattr, path.split(".") if path else [], source)
    for key, value in source.items():
        if f"{path}.".startswith(f"{key}."):
            return submodule(value, path[len(key) + 1 :])
    return None


def nonlinearity_of(module: Any, told: str | None) -> str:
    """The nonlinearity of an RNN: what its module says, or else what was told."""
    if module is None:
        return told or "tanh"
    own = getattr(module, "nonlinearity", told)
    if own is None or told not in (None, own):
        raise ValueError(
            f"The module has nonlinearity={own!r}, got {told!r}. A traced module does not say which"
            " it has: give nonlinearity='tanh' or 'relu'."
        )
    return own
