"""The built-in cells as loops in float64 NumPy, row by row and step by step: slow and plain.

`birnn_jax.selfcheck` and the tests compare with them. Nothing here imports the library: parameters
and carries are read by field name. Every function takes complex numbers too, which is how `slope`
differentiates.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np


def sigmoid(a: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-a))


def elman_step(params: Any, carry: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """One step of one row: the new carry and the output."""
    h = np.tanh(x @ params.w_x + carry.h @ params.w_h + params.b)
    return carry._replace(h=h), h


def gru_step(params: Any, carry: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """One step of one row: the new carry and the output."""
    size = carry.h.size
    r_block, z_block, n_block = (slice(k * size, (k + 1) * size) for k in range(3))
    from_x = x @ params.w_x + params.b
    from_h = carry.h @ params.w_h
    r = sigmoid(from_x[r_block] + from_h[r_block])
    z = sigmoid(from_x[z_block] + from_h[z_block])
    n = np.tanh(from_x[n_block] + r * (from_h[n_block] + params.b_hn))
    h = (1 - z) * n + z * carry.h
    return carry._replace(h=h), h


def lstm_step(params: Any, carry: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """One step of one row: the new carry and the output."""
    size = carry.h.size
    i_block, f_block, g_block, o_block = (slice(k * size, (k + 1) * size) for k in range(4))
    a = x @ params.w_x + carry.h @ params.w_h + params.b
    i, f, o = sigmoid(a[i_block]), sigmoid(a[f_block]), sigmoid(a[o_block])
    c = f * carry.c + i * np.tanh(a[g_block])
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def scan(
    step: Callable[..., Any],
    params: Any,
    xs: np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    carry: Any,
    *,
    reverse: bool = False,
) -> tuple[Any, np.ndarray]:
    """One direction over `[B, T, D]`: the carry after the last valid step, and `[B, T, O]`."""
    params, xs, carry = as_float64((params, xs, carry))
    rows = []
    for b, length in enumerate(lengths):
        start = jax.tree.map(lambda leaf, b=b: leaf[b], carry)
        end, ys = scan_row(step, params, xs[b, :length], start, reverse=reverse)
        _, y = step(params, start, np.zeros_like(xs[b, 0]))
        padding = [np.zeros_like(y)] * (xs.shape[1] - len(ys))
        rows.append((end, np.stack([*ys, *padding])))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)


def scan_row(
    step: Callable[..., Any], params: Any, xs: Any, carry: Any, *, reverse: bool = False
) -> tuple[Any, list[np.ndarray]]:
    """One direction over the valid steps of one row: the last carry and the output of each step."""
    ys = []
    for x in reversed(xs) if reverse else xs:
        carry, y = step(params, carry, x)
        ys.append(y)
    return carry, ys[::-1] if reverse else ys


def bidirectional(
    steps: Sequence[Callable[..., Any]],
    params: Any,
    xs: np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    carry: Any,
) -> tuple[tuple[Any, Any], tuple[np.ndarray, np.ndarray]]:
    """Two directions: the carries `(fwd, bwd)` and the outputs `(fwd, bwd)`."""
    carry_fwd, ys_fwd = scan(steps[0], params[0], xs, lengths, carry[0])
    carry_bwd, ys_bwd = scan(steps[1], params[1], xs, lengths, carry[1], reverse=True)
    return (carry_fwd, carry_bwd), (ys_fwd, ys_bwd)


def slope(function: Callable[..., Any], inputs: Any, direction: Any) -> float:
    """The derivative of `function(inputs)`, a scalar, along `direction`: by a complex step.

    Without the error of differences: 1e-30 vanishes beside the real part.

    References:
      Squire and Trapp, Using Complex Variables to Estimate Derivatives of Real Functions, 1998.
    """
    moved = jax.tree.map(lambda leaf, d: leaf + 1e-30j * d, *as_float64((inputs, direction)))
    return function(moved).imag / 1e-30


def as_float64(tree: Any) -> Any:
    """The tree as NumPy arrays of float64; complex numbers stay complex."""

    def convert(leaf):
        leaf = np.asarray(leaf)
        return leaf.astype(np.complex128 if np.iscomplexobj(leaf) else np.float64)

    return jax.tree.map(convert, tree)
