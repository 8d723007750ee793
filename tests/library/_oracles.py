"""The equations as float64 NumPy loops, row by row and step by step: slow and obviously right.

Nothing here imports `birnn_jax`: parameters and carries are read by field name only.
"""

import jax
import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def elman_step(params, carry, x):
    h = np.tanh(x @ params.w_x + carry.h @ params.w_h + params.b)
    return carry._replace(h=h), h


def gru_step(params, carry, x):
    size = carry.h.size
    r_block, z_block, n_block = (slice(k * size, (k + 1) * size) for k in range(3))
    from_x = x @ params.w_x + params.b
    from_h = carry.h @ params.w_h
    r = sigmoid(from_x[r_block] + from_h[r_block])
    z = sigmoid(from_x[z_block] + from_h[z_block])
    n = np.tanh(from_x[n_block] + r * (from_h[n_block] + params.b_hn))
    h = (1 - z) * n + z * carry.h
    return carry._replace(h=h), h


def lstm_step(params, carry, x):
    size = carry.h.size
    i_block, f_block, g_block, o_block = (slice(k * size, (k + 1) * size) for k in range(4))
    a = x @ params.w_x + carry.h @ params.w_h + params.b
    i, f, o = sigmoid(a[i_block]), sigmoid(a[f_block]), sigmoid(a[o_block])
    c = f * carry.c + i * np.tanh(a[g_block])
    h = o * np.tanh(c)
    return carry._replace(c=c, h=h), h


def clocked_step(params, carry, x):
    """The cell that a user might bring, see `_cases.CLOCKED`."""
    trace = np.tanh(x @ params["input"] + carry["trace"] @ params["state"] + params["bias"])
    trace = trace + np.sin(carry["clock"])
    return {"trace": trace, "clock": carry["clock"] + 1}, trace @ params["output"]


def scan(step, params, xs, lengths, carry, *, reverse=False):
    """One direction over `[B, T, D]`: the carry after the last visited step, and `[B, T, O]`."""
    params, xs, carry = _float64((params, xs, carry))
    rows = [
        _scan_row(step, params, xs[b], length, _at(carry, b), reverse)
        for b, length in enumerate(lengths)
    ]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *rows)


def bidirectional(steps, params, xs, lengths, carry):
    """Two directions: the carries `(fwd, bwd)` and the outputs `(fwd, bwd)`."""
    carry_fwd, ys_fwd = scan(steps[0], params[0], xs, lengths, carry[0])
    carry_bwd, ys_bwd = scan(steps[1], params[1], xs, lengths, carry[1], reverse=True)
    return (carry_fwd, carry_bwd), (ys_fwd, ys_bwd)


MERGES = {
    "concat": lambda fwd, bwd: np.concatenate([fwd, bwd], axis=-1),
    "sum": lambda fwd, bwd: fwd + bwd,
    "mul": lambda fwd, bwd: fwd * bwd,
    "mean": lambda fwd, bwd: 0.5 * fwd + 0.5 * bwd,
}


def stack(layers, params, xs, lengths, carries):
    """Layers given as `(direction, step or steps, merge)`: all carries, and the top outputs."""
    carries = list(carries)
    for index, (direction, step, merge) in enumerate(layers):
        args = (step, params[index].rnn, xs, lengths, carries[index])
        if direction == "both":
            carries[index], ys = bidirectional(*args)
            xs = MERGES[merge](*ys)
        else:
            carries[index], xs = scan(*args, reverse=direction == "bwd")
    return carries, xs


def mean_pool(ys, lengths):
    return _pool(ys, lengths, lambda valid: valid.sum(axis=0) / len(valid))


def max_pool(ys, lengths):
    return _pool(ys, lengths, lambda valid: valid.max(axis=0))


def attention_pool(params, ys, lengths):
    """The pooled vectors `[B, H]` and the weights `[B, T]`."""
    params, ys = _float64((params, ys))
    pooled, weights = np.zeros([len(ys), ys.shape[-1]]), np.zeros(ys.shape[:2])
    for b in np.flatnonzero(lengths):
        valid = ys[b, : lengths[b]]
        scores = np.exp([params.v @ np.tanh(y @ params.w + params.b) for y in valid])
        weights[b, : lengths[b]] = scores / scores.sum()
        pooled[b] = weights[b, : lengths[b]] @ valid
    return pooled, weights


def cross_entropy(logits, labels, mask):
    """Sum of nats, and count."""
    logits, total = np.asarray(logits, np.float64), 0.0
    for index in np.argwhere(mask):
        scores = logits[tuple(index)]
        total += np.log(np.exp(scores).sum()) - scores[labels[tuple(index)]]
    return total, int(mask.sum())


def _pool(ys, lengths, pool):
    pooled = np.zeros([len(ys), ys.shape[-1]])
    for b in np.flatnonzero(lengths):
        pooled[b] = pool(np.asarray(ys[b, : lengths[b]], np.float64))
    return pooled


def _scan_row(step, params, xs, length, carry, reverse):
    _, y = step(params, carry, np.zeros_like(xs[0]))
    ys = np.zeros([len(xs), y.size])
    visits = range(len(xs))[:length]
    for t in reversed(visits) if reverse else visits:
        carry, ys[t] = step(params, carry, xs[t])
    return carry, ys


def _float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def _at(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)
