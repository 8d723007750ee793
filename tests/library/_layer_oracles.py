"""A stack with everything that may stand around its recurrences, row by row in float64.

A row is the list of its valid steps: there is no padding in here. Layers are read by field name.
"""

import jax
import numpy as np

from tests.library import _oracles


def stack(layers, steps, params, xs, lengths, carries):
    """For each row its carries and its outputs `[n, S]`; `steps` are those of each layer."""
    params, xs, carries = _oracles.as_float64((params, xs, carries))
    rows = []
    for b, length in enumerate(lengths):
        row, ends = list(xs[b, :length]), []
        for layer, step, one, carry in zip(layers, steps, params, carries, strict=True):
            carry = jax.tree.map(lambda leaf, b=b: leaf[b], carry)
            carry, row = _layer(layer, step, one, row, carry)
            ends.append(carry)
        rows.append((tuple(ends), row))
    return rows


def _layer(layer, step, params, xs, carry):
    xs = subsampled(layer, xs)
    carry, ys = _recur(layer, step, params.rnn, before(layer, params, xs), carry)
    return carry, after(layer, params, xs, ys)


def subsampled(layer, xs):
    """The steps that the layer reads, of the same type as those given."""
    return [_join(layer, xs[start : start + layer.subsample]) for start in _starts(layer, xs)]


def before(layer, params, xs):
    """What the recurrence reads."""
    return [_norm(params.norm, x) for x in xs] if layer.norm == "pre" else xs


def after(layer, params, xs, ys):
    """The outputs of the layer from those of the recurrence."""
    return [_after(layer, params, x, y) for x, y in zip(xs, ys, strict=True)]


def _starts(layer, xs):
    return range(0, len(xs), layer.subsample)


def _join(layer, group):
    if layer.subsample_mode == "first":
        return group[0]
    missing = [np.zeros_like(group[0])] * (layer.subsample - len(group))
    return np.concatenate([*group, *missing])


def _recur(layer, step, params, xs, carry):
    if layer.direction != "both":
        return _oracles.scan_row(step, params, xs, carry, reverse=layer.direction == "bwd")
    carry_fwd, ys_fwd = _oracles.scan_row(step[0], params[0], xs, carry[0])
    carry_bwd, ys_bwd = _oracles.scan_row(step[1], params[1], xs, carry[1], reverse=True)
    merge = _oracles.MERGES[layer.merge]
    ys = [merge(*pair) for pair in zip(ys_fwd, ys_bwd, strict=True)]
    return type(carry)(carry_fwd, carry_bwd), ys


def _after(layer, params, x, y):
    if layer.projection is not None:
        y = y @ params.projection.w + params.projection.b
    if layer.connection == "residual":
        y = y + x
    if layer.connection == "highway":
        transform = _oracles.sigmoid(x @ params.highway.w + params.highway.b)
        y = transform * y + (1 - transform) * x
    return _norm(params.norm, y) if layer.norm == "post" else y


def _norm(params, a):
    return (a - np.mean(a)) / np.sqrt(np.var(a) + 1e-5) * params.scale + params.shift
