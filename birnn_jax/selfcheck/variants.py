"""One step of every variant in float64 NumPy, gate by gate and with no code shared between them.

Nothing here imports the cells: parameters and carries are read by field name only. As in `loops`,
every step takes complex numbers, and what noise makes of its arguments: `seen`, the state as the
gates see it, and `candidate`, a factor of the candidate.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .loops import sigmoid


def _gate(w: Any, number: int, size: int) -> Any:
    return w[..., number * size : (number + 1) * size]


def _pre(params: Any, h: Any, x: Any, number: int, size: int) -> Any:
    """`x w_x + h w_h + b` of one gate."""
    w_x, w_h, b = (_gate(w, number, size) for w in (params.w_x, params.w_h, params.b))
    return x @ w_x + h @ w_h + b


def _relu(a: np.ndarray) -> np.ndarray:
    return np.where(np.real(a) > 0, a, 0)


def gru_reset_before_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h, size = carry.h if seen is None else seen, carry.h.shape[-1]
    r = sigmoid(_pre(params, h, x, 0, size))
    z = sigmoid(_pre(params, h, x, 1, size))
    n = np.tanh(_pre(params, r * h, x, 2, size))
    h = (1 - z) * candidate * n + z * carry.h
    return carry._replace(h=h), h


def peephole_lstm_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h, size = carry.h if seen is None else seen, carry.h.shape[-1]
    i = sigmoid(_pre(params, h, x, 0, size) + _gate(params.w_c, 0, size) * carry.c)
    f = sigmoid(_pre(params, h, x, 1, size) + _gate(params.w_c, 1, size) * carry.c)
    c = f * carry.c + i * candidate * np.tanh(_pre(params, h, x, 2, size))
    o = sigmoid(_pre(params, h, x, 3, size) + _gate(params.w_c, 2, size) * c)
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def projected_lstm_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h, size = carry.h if seen is None else seen, carry.c.shape[-1]
    i, f, o = (sigmoid(_pre(params, h, x, number, size)) for number in (0, 1, 3))
    c = f * carry.c + i * candidate * np.tanh(_pre(params, h, x, 2, size))
    h = (o * np.tanh(c)) @ params.w_p
    return carry._replace(c=c, h=h), h


def coupled_lstm_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h, size = carry.h if seen is None else seen, carry.h.shape[-1]
    f = sigmoid(_pre(params, h, x, 0, size))
    g = np.tanh(_pre(params, h, x, 1, size))
    o = sigmoid(_pre(params, h, x, 2, size))
    c = f * carry.c + (1 - f) * candidate * g
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def slstm_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h, size = carry.h if seen is None else seen, carry.h.shape[-1]
    w_h = dense(params.w_h, size)
    a_i, a_f, a_g, a_o = (_pre(params._replace(w_h=w_h), h, x, number, size) for number in range(4))
    log_kept = np.where(carry.n == 0, -np.inf, carry.m - np.log1p(np.exp(-a_f)))
    m = np.where(np.real(a_i) > np.real(log_kept), a_i, log_kept)
    i, f = np.exp(a_i - m), np.exp(log_kept - m)
    c = f * carry.c + i * candidate * np.tanh(a_g)
    n = f * carry.n + i
    h = sigmoid(a_o) * c / n
    return carry._replace(c=c, n=n, m=m, h=h), h


def para_gru_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h, size = carry.h if seen is None else seen, carry.h.shape[-1]
    matrices = params._replace(w_h=_diagonals(params.w_h, size))
    r = sigmoid(_pre(matrices, h, x, 0, size))
    z = sigmoid(_pre(matrices, h, x, 1, size))
    n = np.tanh(_pre(matrices, r * h, x, 2, size))
    h = (1 - z) * candidate * n + z * carry.h
    return carry._replace(h=h), h


def para_lstm_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h, size = carry.h if seen is None else seen, carry.h.shape[-1]
    matrices = params._replace(w_h=_diagonals(params.w_h, size))
    f = sigmoid(_pre(matrices, h, x, 0, size) + _gate(params.w_c, 0, size) * carry.c)
    g = np.tanh(_pre(matrices, h, x, 1, size))
    c = f * carry.c + (1 - f) * candidate * g
    o = sigmoid(_pre(matrices, h, x, 2, size) + _gate(params.w_c, 1, size) * c)
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def _diagonals(w_h: Any, size: int) -> Any:
    """Weights `[G*H]` as G diagonal matrices beside one another."""
    return np.concatenate([np.diag(w_h[k : k + size]) for k in range(0, len(w_h), size)], axis=1)


def dense(w_h: Any, size: int) -> Any:
    """The recurrent matrix `[H, G*H]` of weights `[H/K, G*H]` in K heads."""
    width = len(w_h)
    full = np.zeros([size, w_h.shape[1]], w_h.dtype)
    for first in range(0, size, width):
        for start in range(first, w_h.shape[1], size):  # a block for each gate
            columns = slice(start, start + width)
            full[first : first + width, columns] = w_h[:, columns]
    return full


def headed(step: Callable[..., Any]) -> Callable[..., Any]:
    """The step of a cell with one head, for parameters of several."""

    def headed_step(params: Any, carry: Any, *args: Any, **noise: Any) -> tuple[Any, np.ndarray]:
        return step(
            params._replace(w_h=dense(params.w_h, carry.h.shape[-1])), carry, *args, **noise
        )

    return headed_step


def relu_elman_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h = carry.h if seen is None else seen
    h = _relu(x @ params.w_x + h @ params.w_h + params.b)
    return carry._replace(h=h), h


def indrnn_step(params: Any, carry: Any, x: np.ndarray, seen: Any = None) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h = carry.h if seen is None else seen
    h = _relu(x @ params.w_x + h @ np.diag(params.w_h) + params.b)
    return carry._replace(h=h), h


def _g(a: np.ndarray) -> np.ndarray:
    return np.where(np.real(a) >= 0, a + 0.5, sigmoid(a))


def mingru_step(params: Any, carry: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    size = carry.h.shape[-1]
    a = x @ params.w_x + params.b
    z = sigmoid(_gate(a, 0, size))
    h = (1 - z) * carry.h + z * _g(_gate(a, 1, size))
    return carry._replace(h=h), h


def minlstm_step(params: Any, carry: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    size = carry.h.shape[-1]
    a = x @ params.w_x + params.b
    i, f = sigmoid(_gate(a, 0, size)), sigmoid(_gate(a, 1, size))
    h = f / (f + i) * carry.h + i / (f + i) * _g(_gate(a, 2, size))
    return carry._replace(h=h), h


def _norm(a: np.ndarray, epsilon: float) -> np.ndarray:
    centred = a - a.mean(axis=-1, keepdims=True)  # not var(), real for complex numbers, too
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + epsilon)


def _layer_norm_gates(
    params: Any, carry: Any, x: Any, seen: Any, candidate: Any, epsilon: float
) -> tuple[Any, Any]:
    h, size = carry.h if seen is None else seen, carry.h.shape[-1]
    a = params.scale_x * _norm(x @ params.w_x, epsilon)
    a = a + params.scale_h * _norm(h @ params.w_h, epsilon) + params.b
    i, f, o = (sigmoid(_gate(a, number, size)) for number in (0, 1, 3))
    return f * carry.c + i * candidate * np.tanh(_gate(a, 2, size)), o


def layer_norm_lstm_ba_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    c, o = _layer_norm_gates(params, carry, x, seen, candidate, 1e-5)
    h = o * np.tanh(params.scale_c * _norm(c, 1e-5) + params.shift_c)
    return carry._replace(c=c, h=h), h


def layer_norm_lstm_tfa_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    c, o = _layer_norm_gates(params, carry, x, seen, candidate, 1e-3)
    c = params.scale_c * _norm(c, 1e-3) + params.shift_c
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def layer_norm_gru_ba_step(
    params: Any, carry: Any, x: np.ndarray, seen: Any = None, candidate: Any = 1.0
) -> tuple[Any, np.ndarray]:
    """One step: the new carry and the output."""
    h, size = carry.h if seen is None else seen, carry.h.shape[-1]
    x_rz = params.scale_x[: 2 * size] * _norm(x @ params.w_x[:, : 2 * size], 1e-5)
    h_rz = params.scale_h[: 2 * size] * _norm(h @ params.w_h[:, : 2 * size], 1e-5)
    rz = sigmoid(x_rz + h_rz + params.b[: 2 * size])
    x_n = params.scale_x[2 * size :] * _norm(x @ params.w_x[:, 2 * size :], 1e-5)
    h_n = params.scale_h[2 * size :] * _norm(h @ params.w_h[:, 2 * size :], 1e-5)
    n = np.tanh(x_n + params.b[2 * size :] + rz[..., :size] * (h_n + params.b_hn))
    h = (1 - rz[..., size:]) * candidate * n + rz[..., size:] * carry.h
    return carry._replace(h=h), h
