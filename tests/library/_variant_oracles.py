"""One step of every variant in float64 NumPy, gate by gate and with no code shared between them.

Nothing here imports `birnn_jax`: parameters and carries are read by field name only.
"""

import numpy as np

from tests.library._oracles import sigmoid


def _gate(w, number, size):
    return w[..., number * size : (number + 1) * size]


def _pre(params, h, x, number, size):
    """`x w_x + h w_h + b` of one gate."""
    w_x, w_h, b = (_gate(w, number, size) for w in (params.w_x, params.w_h, params.b))
    return x @ w_x + h @ w_h + b


def gru_reset_before_step(params, carry, x):
    h, size = carry.h, carry.h.size
    r = sigmoid(_pre(params, h, x, 0, size))
    z = sigmoid(_pre(params, h, x, 1, size))
    n = np.tanh(_pre(params, r * h, x, 2, size))
    h = (1 - z) * n + z * h
    return carry._replace(h=h), h


def peephole_lstm_step(params, carry, x):
    size = carry.h.size
    i = sigmoid(_pre(params, carry.h, x, 0, size) + _gate(params.w_c, 0, size) * carry.c)
    f = sigmoid(_pre(params, carry.h, x, 1, size) + _gate(params.w_c, 1, size) * carry.c)
    c = f * carry.c + i * np.tanh(_pre(params, carry.h, x, 2, size))
    o = sigmoid(_pre(params, carry.h, x, 3, size) + _gate(params.w_c, 2, size) * c)
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def projected_lstm_step(params, carry, x):
    size = carry.c.size
    i, f, o = (sigmoid(_pre(params, carry.h, x, number, size)) for number in (0, 1, 3))
    c = f * carry.c + i * np.tanh(_pre(params, carry.h, x, 2, size))
    h = (o * np.tanh(c)) @ params.w_p
    return carry._replace(c=c, h=h), h


def coupled_lstm_step(params, carry, x):
    size = carry.h.size
    f = sigmoid(_pre(params, carry.h, x, 0, size))
    g = np.tanh(_pre(params, carry.h, x, 1, size))
    o = sigmoid(_pre(params, carry.h, x, 2, size))
    c = f * carry.c + (1 - f) * g
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def relu_elman_step(params, carry, x):
    h = np.maximum(x @ params.w_x + carry.h @ params.w_h + params.b, 0)
    return carry._replace(h=h), h


def indrnn_step(params, carry, x):
    h = np.maximum(x @ params.w_x + carry.h @ np.diag(params.w_h) + params.b, 0)
    return carry._replace(h=h), h


def _g(a):
    return np.where(a >= 0, a + 0.5, sigmoid(a))


def mingru_step(params, carry, x):
    size = carry.h.size
    a = x @ params.w_x + params.b
    z = sigmoid(_gate(a, 0, size))
    h = (1 - z) * carry.h + z * _g(_gate(a, 1, size))
    return carry._replace(h=h), h


def minlstm_step(params, carry, x):
    size = carry.h.size
    a = x @ params.w_x + params.b
    i, f = sigmoid(_gate(a, 0, size)), sigmoid(_gate(a, 1, size))
    h = f / (f + i) * carry.h + i / (f + i) * _g(_gate(a, 2, size))
    return carry._replace(h=h), h


def _norm(a, epsilon):
    return (a - a.mean()) / np.sqrt(a.var() + epsilon)


def _layer_norm_gates(params, carry, x, epsilon):
    size = carry.h.size
    a = params.scale_x * _norm(x @ params.w_x, epsilon)
    a = a + params.scale_h * _norm(carry.h @ params.w_h, epsilon) + params.b
    i, f, o = (sigmoid(_gate(a, number, size)) for number in (0, 1, 3))
    return f * carry.c + i * np.tanh(_gate(a, 2, size)), o


def layer_norm_lstm_ba_step(params, carry, x):
    c, o = _layer_norm_gates(params, carry, x, 1e-5)
    h = o * np.tanh(params.scale_c * _norm(c, 1e-5) + params.shift_c)
    return carry._replace(c=c, h=h), h


def layer_norm_lstm_tfa_step(params, carry, x):
    c, o = _layer_norm_gates(params, carry, x, 1e-3)
    c = params.scale_c * _norm(c, 1e-3) + params.shift_c
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def layer_norm_gru_ba_step(params, carry, x):
    h, size = carry.h, carry.h.size
    x_rz = params.scale_x[: 2 * size] * _norm(x @ params.w_x[:, : 2 * size], 1e-5)
    h_rz = params.scale_h[: 2 * size] * _norm(h @ params.w_h[:, : 2 * size], 1e-5)
    rz = sigmoid(x_rz + h_rz + params.b[: 2 * size])
    x_n = params.scale_x[2 * size :] * _norm(x @ params.w_x[:, 2 * size :], 1e-5)
    h_n = params.scale_h[2 * size :] * _norm(h @ params.w_h[:, 2 * size :], 1e-5)
    n = np.tanh(x_n + params.b[2 * size :] + rz[:size] * (h_n + params.b_hn))
    h = (1 - rz[size:]) * n + rz[size:] * h
    return carry._replace(h=h), h
