"""The built-in cells as loops over steps in float64 NumPy: slow and plain.

A step takes one row `[D]`, or several `[N, D]` that have nothing to do with each other.

`birnn_jax.selfcheck` and the tests compare with them. Nothing here imports the library: parameters
and carries are read by field name. Every function takes complex numbers too, which is how `slope`
differentiates.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np


def sigmoid(a: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-a))


def elman_step(params: Any, carry: Any, x: np.ndarray, seen: Any = None) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output; the gates may see another h."""
    h = carry.h if seen is None else seen
    h = np.tanh(x @ params.w_x + h @ params.w_h + params.b)
    return carry._replace(h=h), h


def gru_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output; `candidate` is a factor of it."""
    size = carry.h.shape[-1]
    r_block, z_block, n_block = (slice(k * size, (k + 1) * size) for k in range(3))
    from_x = x @ params.w_x + params.b
    from_h = (carry.h if seen is None else seen) @ params.w_h
    r = sigmoid(from_x[..., r_block] + from_h[..., r_block])
    z = sigmoid(from_x[..., z_block] + from_h[..., z_block])
    n = np.tanh(from_x[..., n_block] + r * (from_h[..., n_block] + params.b_hn))
    h = (1 - z) * candidate * n + z * carry.h
    return carry._replace(h=h), h


def lstm_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output; `candidate` is a factor of it."""
    size = carry.h.shape[-1]
    i_block, f_block, g_block, o_block = (slice(k * size, (k + 1) * size) for k in range(4))
    a = x @ params.w_x + (carry.h if seen is None else seen) @ params.w_h + params.b
    i, f, o = sigmoid(a[..., i_block]), sigmoid(a[..., f_block]), sigmoid(a[..., o_block])
    c = f * carry.c + i * candidate * np.tanh(a[..., g_block])
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


class Draw(NamedTuple):
    """What noise makes of one step of N rows; None: nothing."""

    seen: Any = None  # [N, H], a factor of h for the gates
    candidate: Any = None  # [N, H], a factor of the candidate
    zoneout_c: Any = None  # [N, H], the part of the old state in the new one
    zoneout_h: Any = None


def scan(
    step: Callable[..., Any],
    params: Any,
    xs: np.ndarray,
    lengths: Sequence[int] | np.ndarray,
    carry: Any,
    *,
    reverse: bool = False,
    draw: Callable[[np.ndarray, np.ndarray], Draw] | None = None,
) -> tuple[Any, np.ndarray]:
    """One direction over `[B, T, D]`: the carry after the last valid step, and `[B, T, O]`.

    `lengths` may be `[B, T]`, the number of the segment of each step, 0 where it is not valid.
    `draw(rows, numbers of the step in their segments)` is the noise of some rows.
    """
    params, xs, carry = as_float64((params, xs, carry))
    ids = np.asarray(lengths)
    if ids.ndim == 1:
        ids = np.arange(xs.shape[1]) < ids[:, None]
    _, y = step(params, carry, np.zeros_like(xs[:, 0]))
    ys = np.zeros([*xs.shape[:2], y.shape[-1]], y.dtype)
    # Complex numbers come into the carry from the parameters, too.
    state = jax.tree.map(lambda leaf: leaf.astype(y.dtype), carry)
    segments, numbers = np.zeros(len(xs), ids.dtype), np.zeros(len(xs), int)
    for t in reversed(range(xs.shape[1])) if reverse else range(xs.shape[1]):
        rows = np.flatnonzero(ids[:, t])  # steps that are not valid are never read
        if not rows.size:
            continue
        fresh = rows[(segments[rows] != 0) & (segments[rows] != ids[rows, t])]
        _assign(state, fresh, jax.tree.map(lambda leaf, fresh=fresh: leaf[fresh], carry))
        numbers[fresh] = 0
        segments[rows], numbers[rows] = ids[rows, t], numbers[rows] + 1
        noise = Draw() if draw is None else draw(rows, numbers[rows])
        before = jax.tree.map(lambda leaf, rows=rows: leaf[rows], state)
        after, ys[rows, t] = noisy_step(step, params, before, xs[rows, t], noise)
        _assign(state, rows, after)
    return state, ys


def _assign(tree: Any, rows: Any, values: Any) -> None:
    """Sets rows of every array of the tree."""
    for leaf, value in zip(jax.tree.leaves(tree), jax.tree.leaves(values), strict=True):
        leaf[rows] = value


def noisy_step(
    step: Callable[..., Any], params: Any, carry: Any, x: np.ndarray, draw: Draw
) -> tuple[Any, np.ndarray]:
    """One step of some rows with their noise."""
    factors = {}
    if draw.seen is not None:
        factors["seen"] = draw.seen * carry.h
    if draw.candidate is not None:
        factors["candidate"] = draw.candidate
    new, y = step(params, carry, x, **factors)
    if draw.zoneout_c is not None:
        new = new._replace(c=draw.zoneout_c * carry.c + (1 - draw.zoneout_c) * new.c)
    if draw.zoneout_h is not None:
        y = draw.zoneout_h * carry.h + (1 - draw.zoneout_h) * new.h
        new = new._replace(h=y)
    return new, y


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
    draws: Sequence[Callable[[np.ndarray, np.ndarray], Draw] | None] = (None, None),
) -> tuple[tuple[Any, Any], tuple[np.ndarray, np.ndarray]]:
    """Two directions: the carries `(fwd, bwd)` and the outputs `(fwd, bwd)`."""
    carry_fwd, ys_fwd = scan(steps[0], params[0], xs, lengths, carry[0], draw=draws[0])
    carry_bwd, ys_bwd = scan(
        steps[1], params[1], xs, lengths, carry[1], reverse=True, draw=draws[1]
    )
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
