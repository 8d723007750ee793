"""Keras on JAX: `Bidirectional(LSTM(return_sequences=True))`."""

import jax.numpy as jnp
import keras

from benchmarks._points import Point
from benchmarks.peers import Layer


def make_layer(point: Point) -> Layer:
    """Its GRU in the form with two biases, reset after the product."""
    layers = keras.layers
    cell = {"elman": layers.SimpleRNN, "gru": layers.GRU, "lstm": layers.LSTM}[point.cell]
    built = {}

    def get(input_size: int) -> keras.Layer:
        if input_size not in built:
            layer = layers.Bidirectional(cell(point.shape[3], return_sequences=True))
            layer.build((None, point.shape[1], input_size))
            built[input_size] = layer
        return built[input_size]

    def to_params(pair):
        return [leaf for direction in pair for leaf in _to_cell(point.cell, direction)]

    def apply(params, xs, lengths):
        layer = get(xs.shape[-1])
        mask = None
        if lengths is not None:
            mask = jnp.arange(xs.shape[1])[None] < lengths[:, None]
        return layer.stateless_call(params, layer.non_trainable_variables, xs, mask=mask)[0]

    return Layer(to_params, apply)


def _to_cell(cell: str, direction: dict) -> list:
    if cell != "gru":
        return [direction["w_x"], direction["w_h"], direction["b"]]

    def reorder(leaf):  # z r n
        r, z, n = jnp.split(leaf, 3, axis=-1)
        return jnp.concatenate([z, r, n], axis=-1)

    b = reorder(direction["b"])
    return [reorder(direction["w_x"]), reorder(direction["w_h"]), jnp.stack([b, 0 * b])]
