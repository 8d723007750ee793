"""flax.linen: `nn.Bidirectional` over two `nn.RNN`."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from benchmarks._points import Point
from benchmarks.peers import Layer, require

NAMES = {"elman": [""], "relu_elman": [""], "gru": ["r", "z", "n"], "lstm": ["i", "f", "g", "o"]}


def make_layer(point: Point, *, optimized: bool) -> Layer:
    """`optimized` takes the faster of its two LSTM cells, the other is the one in its documents."""
    require(point, "flax.linen", NAMES)
    lstm = nn.OptimizedLSTMCell if optimized else nn.LSTMCell
    relu = functools.partial(nn.SimpleCell, activation_fn=jax.nn.relu)
    cells = {"elman": nn.SimpleCell, "relu_elman": relu, "gru": nn.GRUCell, "lstm": lstm}
    cell, hidden_size = cells[point.cell], point.shape[3]
    # Its own dtype argument would give float32 back (SEMANTICS, P27): parameters decide.
    layer = nn.Bidirectional(nn.RNN(cell(hidden_size)), nn.RNN(cell(hidden_size)))

    def to_params(pair):
        names = ("forward_rnn", "backward_rnn")
        return {
            name: {"cell": _to_cell(point.cell, direction)}
            for name, direction in zip(names, pair, strict=True)
        }

    def apply(params, xs, lengths):
        return layer.apply({"params": params}, xs, seq_lengths=lengths)

    return Layer(to_params, apply)


def _to_cell(cell: str, direction: dict) -> dict:
    names = NAMES[cell]
    w_x, w_h, b = (jnp.split(direction[name], len(names), axis=-1) for name in ("w_x", "w_h", "b"))
    params = {f"i{name}": {"kernel": leaf} for name, leaf in zip(names, w_x, strict=True)}
    params |= {f"h{name}": {"kernel": leaf} for name, leaf in zip(names, w_h, strict=True)}
    side = "h" if cell == "lstm" else "i"
    for name, bias in zip(names, b, strict=True):
        params[side + name]["bias"] = bias
    if cell == "gru":
        params["hn"]["bias"] = 0 * b[2]
    return params
