"""Keras on JAX: `Bidirectional(LSTM(return_sequences=True))`."""

import functools

import jax
import jax.numpy as jnp
import keras

from benchmarks import _cells
from benchmarks._points import Point
from benchmarks.peers import Layer, require


def make_layer(point: Point) -> Layer:
    """`GRU` in the form with two biases, reset after the product, or with one, before it."""
    layers = keras.layers
    cells = {
        "elman": layers.SimpleRNN,
        "relu_elman": functools.partial(layers.SimpleRNN, activation="relu"),
        "gru": layers.GRU,
        "gru_reset_before": functools.partial(layers.GRU, reset_after=False),
        "lstm": layers.LSTM,
    }
    require(point, "keras", cells, ("recurrent-dropout", "gaps"))
    rate = _cells.RATE if point.has_noise else 0.0
    cell = functools.partial(cells[point.cell], recurrent_dropout=rate)
    built = {}

    def get(input_size: int) -> keras.Layer:
        if input_size not in built:
            layer = layers.Bidirectional(cell(point.shape[3], return_sequences=True))
            layer.build((None, point.shape[1], input_size))
            built[input_size] = layer
        return built[input_size]

    def to_params(pair):
        return [leaf for direction in pair for leaf in _to_cell(point.cell, direction)]

    def apply(params, xs, lengths, key=None):
        layer = get(xs.shape[-1])
        mask = lengths
        if lengths is not None and point.option != "gaps":
            mask = jnp.arange(xs.shape[1])[None] < lengths[:, None]
        states = [variable.value for variable in layer.non_trainable_variables]
        if key is not None:  # the states of its generators, as an argument like any other
            states = [jax.random.key_data(key).astype(state.dtype) for state in states]
        training = key is not None
        return layer.stateless_call(params, states, xs, mask=mask, training=training)[0]

    return Layer(to_params, apply)


def _to_cell(cell: str, direction: dict) -> list:
    if not cell.startswith("gru"):
        return [direction["w_x"], direction["w_h"], direction["b"]]

    def reorder(leaf):  # z r n
        r, z, n = jnp.split(leaf, 3, axis=-1)
        return jnp.concatenate([z, r, n], axis=-1)

    b = reorder(direction["b"])
    b = jnp.stack([b, 0 * b]) if cell == "gru" else b
    return [reorder(direction["w_x"]), reorder(direction["w_h"]), b]
