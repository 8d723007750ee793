"""The built-in cells as loops in float64 NumPy, which `birnn_jax.selfcheck` compares with.

Nothing here calls the library: parameters and carries are read by field name. Every function
takes complex numbers too, which is how `slope` differentiates.
"""

from typing import Any

import jax
import numpy as np

from .._core.types import Bi


def run(cell: str, inputs: Any, lengths: np.ndarray) -> tuple[Bi[Any], Bi[np.ndarray]]:
    """Carries and outputs of both directions, for inputs `(params, xs, carry)`."""
    params, xs, carry = jax.tree.map(_as_double, inputs)
    fwd = _scan(cell, params.fwd, xs, lengths, carry.fwd, range(xs.shape[1]))
    bwd = _scan(cell, params.bwd, xs, lengths, carry.bwd, range(xs.shape[1])[::-1])
    carries, ys = zip(fwd, bwd, strict=True)
    return Bi(*carries), Bi(*ys)


def slope(cell: str, inputs: Any, lengths: np.ndarray, weights: Any, direction: Any) -> float:
    """Of the weighted sum of all outputs, along `direction`: by a complex step, without error.

    References:
      Squire and Trapp, Using Complex Variables to Estimate Derivatives of Real Functions, 1998.
    """
    moved = jax.tree.map(lambda leaf, d: _as_double(leaf) + 1e-30j * d, inputs, direction)
    outputs = run(cell, moved, lengths)
    products = jax.tree.map(lambda leaf, weight: (leaf * weight).sum(), outputs, weights)
    return sum(jax.tree.leaves(products)).imag / 1e-30


def _as_double(leaf: np.ndarray) -> np.ndarray:
    return leaf.astype(np.result_type(leaf.dtype, np.float64))


def _scan(
    cell: str, params: Any, xs: np.ndarray, lengths: np.ndarray, carry: Any, steps: range
) -> tuple[Any, np.ndarray]:
    ys = np.zeros([*xs.shape[:2], carry.h.shape[1]], xs.dtype)
    for t in steps:
        valid = (t < lengths)[:, None]
        new = _STEPS[cell](params, carry, xs[:, t])
        carry = jax.tree.map(lambda new, old, valid=valid: np.where(valid, new, old), new, carry)
        ys[:, t] = np.where(valid, carry.h, 0)
    return carry, ys


def _elman(params: Any, carry: Any, x: np.ndarray) -> Any:
    return carry._replace(h=np.tanh(x @ params.w_x + carry.h @ params.w_h + params.b))


def _gru(params: Any, carry: Any, x: np.ndarray) -> Any:
    x_r, x_z, x_n = np.split(x @ params.w_x + params.b, 3, axis=-1)
    h_r, h_z, h_n = np.split(carry.h @ params.w_h, 3, axis=-1)
    r, z = _sigmoid(x_r + h_r), _sigmoid(x_z + h_z)
    n = np.tanh(x_n + r * (h_n + params.b_hn))
    return carry._replace(h=(1 - z) * n + z * carry.h)


def _lstm(params: Any, carry: Any, x: np.ndarray) -> Any:
    i, f, g, o = np.split(x @ params.w_x + carry.h @ params.w_h + params.b, 4, axis=-1)
    c = _sigmoid(f) * carry.c + _sigmoid(i) * np.tanh(g)
    return carry._replace(c=c, h=_sigmoid(o) * np.tanh(c))


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


_STEPS = {"elman": _elman, "gru": _gru, "lstm": _lstm}
