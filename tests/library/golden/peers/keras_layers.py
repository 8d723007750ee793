"""Keras 3 on its JAX backend, with a mask."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax.numpy as jnp
import keras
import numpy as np
from keras.src.backend.common import dtypes

from . import HIDDEN_SIZE, INPUT_SIZE, Peer
from .flax_linen import states_of
from .jax_based import compiled, differentiate

_D, _H = INPUT_SIZE, HIDDEN_SIZE
# Keras brings every 64-bit result on JAX down to 32 bits, whatever the dtype of the layer.
dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"


def make_layer(name, **options):
    layer = getattr(keras.layers, name)(
        _H, return_sequences=True, return_state=True, dtype="float64", **options
    )
    layer = keras.layers.Bidirectional(layer, dtype="float64")
    layer.build((None, None, _D))
    return layer


def _peer(name, shapes, *names, **options):
    sizes = {f"{d}_layer.{key}": one for d in ["forward", "backward"] for key, one in shapes}
    states = states_of(*names)

    def run(weights, xs, lengths, initial):
        layer = make_layer(name, **options)
        mask = np.arange(xs.shape[1])[None] < lengths[:, None]
        (ys, *final), _ = layer.stateless_call(
            [jnp.asarray(weights[key]) for key in sizes],
            [one.value for one in layer.non_trainable_variables],
            jnp.asarray(xs),
            mask=jnp.asarray(mask),
            initial_state=[jnp.asarray(initial[key]) for key in states],
        )
        return {"ys": ys} | {f"final.{key}": one for key, one in zip(states, final, strict=True)}

    return Peer(sizes, states, compiled(run), differentiate)


def _shapes(gates, bias_rows=()):
    columns = gates * _H
    kernels = [("kernel", (_D, columns)), ("recurrent_kernel", (_H, columns))]
    return [*kernels, ("bias", (*bias_rows, columns))]


PEERS = {
    "keras_simple_rnn": _peer("SimpleRNN", _shapes(1), "h"),
    "keras_gru": _peer("GRU", _shapes(3, (2,)), "h"),
    "keras_gru_reset_before": _peer("GRU", _shapes(3), "h", reset_after=False),
    "keras_lstm": _peer("LSTM", _shapes(4), "h", "c"),
}
