"""What the tests compare with, in float64 NumPy: slow and obviously right.

The recurrences are those of `birnn_jax.selfcheck.loops`, the one file of loops; what only tests
need stands below. Parameters and carries are read by field name only.
"""

import numpy as np

from birnn_jax.selfcheck.loops import as_float64 as as_float64
from birnn_jax.selfcheck.loops import bidirectional as bidirectional
from birnn_jax.selfcheck.loops import elman_step as elman_step
from birnn_jax.selfcheck.loops import gru_step as gru_step
from birnn_jax.selfcheck.loops import lstm_step as lstm_step
from birnn_jax.selfcheck.loops import scan as scan
from birnn_jax.selfcheck.loops import scan_row as scan_row
from birnn_jax.selfcheck.loops import sigmoid as sigmoid
from birnn_jax.selfcheck.loops import slope as slope


def clocked_step(params, carry, x):
    """The cell that a user might bring, see `_cases.CLOCKED`."""
    trace = np.tanh(x @ params["input"] + carry["trace"] @ params["state"] + params["bias"])
    trace = trace + np.sin(carry["clock"])[..., None]
    return {"trace": trace, "clock": carry["clock"] + 1}, trace @ params["output"]


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
    params, ys = as_float64((params, ys))
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
