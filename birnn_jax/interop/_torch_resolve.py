"""Weights that PyTorch computes from others: normed, pruned and dropped weights in a state dict."""

from collections.abc import Mapping

import numpy as np

_REMOVAL = (
    "torch.nn.utils.parametrize.remove_parametrizations(module, {name!r}), "
    "torch.nn.utils.prune.remove, remove_weight_norm or remove_spectral_norm"
)


def resolve(name: str, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The weight that a module in evaluation computes with, from what its state dict has of it.

    Args:
      name: of the weight.
      parts: by what follows the name in the state dict, "" for the weight itself.

    References:
      torch.nn.utils: `weight_norm` ("_g", "_v"), `spectral_norm` ("_orig", "_u", "_v"), `prune`
        ("_orig", "_mask"), and both norms of `parametrizations`.
      Merity, Keskar and Socher, Regularizing and Optimizing LSTM Language Models, 2018: what is
        dropped is kept as "_raw".
    """
    match sorted(parts):
        case [""]:
            return parts[""]
        case ["_raw"] | ["", "_raw"]:
            return parts["_raw"]
        case ["_mask", "_orig"]:
            return parts["_orig"] * parts["_mask"].astype(parts["_orig"].dtype)
        case ["_g", "_v"]:
            return _weight_norm(parts["_v"], parts["_g"])
        case [".original0", ".original1"] if _is_norm(parts[".original0"], parts[".original1"]):
            return _weight_norm(parts[".original1"], parts[".original0"])
        case ["_orig", "_u", "_v"]:
            return _spectral_norm(parts["_orig"], parts["_u"], parts["_v"])
        case [".0._u", ".0._v", ".original"]:
            return _spectral_norm(parts[".original"], parts[".0._u"], parts[".0._v"])
    raise ValueError(
        f"{name!r} is computed from {[name + part for part in parts]} in a way that is not known "
        f"here. Before saving, make it a plain weight again: {_REMOVAL.format(name=name)}."
    )


def _is_norm(g: np.ndarray, v: np.ndarray) -> bool:
    """Whether g may be the norms of the rows, of the columns or of all of v."""
    return g.ndim in (0, v.ndim) and all(
        a in (1, b) for a, b in zip(g.shape, v.shape, strict=False)
    )


def _weight_norm(v: np.ndarray, g: np.ndarray) -> np.ndarray:
    """`g v / |v|`, with the norm over the axes along which g is one number."""
    axes = tuple(axis for axis in range(v.ndim) if not g.ndim or g.shape[axis] == 1)
    wide = v.astype(np.float64)
    norm = np.sqrt(np.sum(wide**2, axis=axes, keepdims=True))
    return (wide * (g.astype(np.float64) / norm)).astype(v.dtype)


def _spectral_norm(w: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`w / (u w v)`, u and v being estimates of its first singular vectors."""
    wide, u, v = (array.astype(np.float64) for array in (w, u, v))
    sigma = u @ wide @ v if u.size == len(w) else v @ wide @ u  # the second with dim=1
    return (wide / sigma).astype(w.dtype)
