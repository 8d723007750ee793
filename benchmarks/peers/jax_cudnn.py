"""`jax.experimental.rnn`, cuDNN from JAX: LSTM only, float32 only, on a GPU.

Without a GPU its own reference takes its place, so that the weights are checked before there is
one; such a row says nothing about cuDNN.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import rnn

from benchmarks._points import Point
from benchmarks.peers import Layer, Unsupported


def make_layer(point: Point) -> Layer:
    """Both directions in one call; lengths are needed in any case."""
    if point.cell != "lstm" or point.option or point.precision == "bfloat16":
        raise Unsupported("jax.experimental.rnn has a float32 LSTM only.")
    hidden_size = point.shape[3]
    run = rnn.lstm if jax.default_backend() == "gpu" else rnn.lstm_ref
    precision = jax.lax.Precision.HIGHEST if point.precision == "float32" else None

    def to_params(pair):
        matrices = [direction[name].T.reshape(-1) for direction in pair for name in ("w_x", "w_h")]
        biases = [leaf for direction in pair for leaf in (direction["b"], 0 * direction["b"])]
        return jnp.concatenate(matrices + biases)

    def apply(params, xs, lengths):
        batch_size, num_steps, input_size = xs.shape
        if lengths is None:
            lengths = jnp.full([batch_size], num_steps, jnp.int32)
        zeros = jnp.zeros([2, batch_size, hidden_size], xs.dtype)
        if run is rnn.lstm_ref:
            sizes = (input_size, hidden_size, 1, True)
            weights = rnn.unpack_lstm_weights(params, *sizes)
            ys, _, _ = rnn.lstm_ref(*(xs, zeros, zeros, *weights, lengths, *sizes[:3], 0.0, True))
            return ys
        outputs: Any = rnn.lstm(
            *(xs, zeros, zeros, params, lengths, input_size, hidden_size, 1, 0.0, True),
            precision=precision,
        )
        return outputs[0]

    return Layer(to_params, apply)
