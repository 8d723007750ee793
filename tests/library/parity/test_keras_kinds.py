"""Every kind of recurrent layer of Keras 3 in memory: cells in an RNN, both ways, subclasses."""

import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from birnn_jax import GRU, LSTM, Layer, stack
from birnn_jax.interop.keras import from_keras

from ._stacks import LENGTHS, TOLERANCE_FLOAT32, B, D, H, T, assert_close
from .test_keras import pytestmark as pytestmark

MASK = np.arange(T)[None] < LENGTHS[:, None]
ALL = {"return_sequences": True}


class MyLSTM(layers.LSTM):
    """Arguments of its own, and no `get_config`."""

    def __init__(self, units, flavour):
        super().__init__(units, return_sequences=True)
        self.flavour = flavour


class MyCell(layers.GRUCell):
    pass


class MyStep(layers.GRUCell):
    def call(self, inputs, states, training=False):
        return super().call(2 * inputs, states, training)


class MyBidirectional(layers.Bidirectional):
    pass


def three_cells():
    return [layers.LSTMCell(H), layers.GRUCell(4), layers.SimpleRNNCell(2, activation="relu")]


def frozen():
    layer = layers.Bidirectional(layers.LSTM(H, **ALL))
    layer.build((None, None, D))
    layer.forward_layer.trainable = False
    return layer


KINDS = {
    "RNN of a cell": lambda: layers.RNN(layers.LSTMCell(H), **ALL),
    "RNN of cells": lambda: layers.RNN(three_cells(), **ALL),
    "RNN of stacked cells": lambda: layers.RNN(layers.StackedRNNCells(three_cells()), **ALL),
    "both ways": lambda: layers.Bidirectional(
        layers.RNN(layers.GRUCell(H, reset_after=False, use_bias=False), **ALL)
    ),
    "two kinds": lambda: layers.Bidirectional(
        layers.LSTM(H, **ALL),
        backward_layer=layers.RNN(layers.GRUCell(4), go_backwards=True, **ALL),
    ),
    "two outputs": lambda: layers.Bidirectional(layers.GRU(H, **ALL), merge_mode=None),
    "subclass": lambda: MyLSTM(H, flavour="none"),
    "subclass of a cell": lambda: layers.RNN(MyCell(H), **ALL),
    "subclass both ways": lambda: MyBidirectional(layers.LSTM(H, **ALL), merge_mode="ave"),
    "dropout": lambda: layers.LSTM(H, dropout=0.2, recurrent_dropout=0.3, seed=0, **ALL),
    "stateful": lambda: layers.GRU(H, stateful=True, **ALL),
    "frozen in one direction": frozen,
}


def randomised(layer, rng):
    layer.build((B, T, D))
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_layer_computes_the_same(make, rng):
    layer = randomised(make(), rng)
    xs = rng.normal(size=(B, T, D)).astype(np.float32)
    want = layer(xs, mask=MASK)
    if isinstance(want, list | tuple):
        want = np.concatenate(want, axis=-1)
    got = stack(*from_keras(layer), jnp.asarray(xs), LENGTHS)[1]
    assert_close(got, np.where(MASK[..., None], want, 0), TOLERANCE_FLOAT32)


def test_cells_that_go_backwards_are_a_stack_of_backward_layers(rng):
    layer = randomised(layers.RNN(three_cells(), go_backwards=True, **ALL), rng)
    xs = rng.normal(size=(B, T, D)).astype(np.float32)
    found, params = from_keras(layer)
    assert [one.direction for one in found] == ["bwd"] * 3
    got = stack(found, params, jnp.asarray(xs))[1]
    assert_close(got, np.asarray(layer(xs))[:, ::-1], TOLERANCE_FLOAT32)


def test_stacked_cells_both_ways_are_converted_one_by_one(rng):
    layer = randomised(layers.Bidirectional(layers.RNN(three_cells(), **ALL)), rng)
    with pytest.raises(ValueError, match="Convert its forward_layer and its backward_layer one by"):
        from_keras(layer)
    xs = rng.normal(size=(B, T, D)).astype(np.float32)
    parts = [from_keras(part) for part in (layer.forward_layer, layer.backward_layer)]
    halves = [stack(*part, jnp.asarray(xs), LENGTHS)[1] for part in parts]
    want = np.where(MASK[..., None], layer(xs, mask=MASK), 0)
    assert_close(np.concatenate(halves, axis=-1), want, TOLERANCE_FLOAT32)


def test_layers_of_keras_hold_the_last_output_in_padding_and_bidirectional_gives_zero(rng):
    """What README says of outputs in padding."""
    xs = rng.normal(size=(B, T, D)).astype(np.float32)
    row, last = 1, LENGTHS[1] - 1
    alone = np.asarray(randomised(layers.LSTM(H, **ALL), rng)(xs, mask=MASK))[row]
    np.testing.assert_array_equal(
        alone[last + 1 :], np.broadcast_to(alone[last], (T - last - 1, H))
    )
    both = randomised(layers.Bidirectional(layers.LSTM(H, **ALL)), rng)(xs, mask=MASK)
    assert (np.asarray(both)[row, last + 1 :] == 0).all()


REFUSED = {
    "a step of one's own": (lambda: layers.RNN(MyStep(H)), "MyStep 'rnn.*' cannot be converted"),
    "convolutions": (lambda: layers.ConvLSTM1D(2, 3), "ConvLSTMCell .* cannot be converted"),
    "another activation": (lambda: layers.LSTM(H, activation="relu"), "has activation='relu'"),
    "a forward layer that goes backwards": (
        lambda: layers.Bidirectional(
            layers.GRU(H, go_backwards=True), backward_layer=layers.GRU(H)
        ),
        "the forward layer goes forward",
    ),
    "no recurrent layer": (lambda: layers.Dense(3), r"is no recurrent layer .*get_layer\(name\)"),
    "a model": (
        lambda: keras.Sequential([layers.LSTM(3)]),
        r"Sequential .* is no recurrent layer of Keras",
    ),
}


@pytest.mark.parametrize(("make", "match"), REFUSED.values(), ids=REFUSED.keys())
def test_other_layers_are_refused(make, match):
    layer = make()
    layer.build((2, T, 6, D) if "conv" in layer.name else (2, T, D))
    with pytest.raises(ValueError, match=match):
        from_keras(layer)


def test_layers_from_files_and_memory_are_stacked_in_the_order_given(rng):
    below, above = layers.GRU(H, **ALL), layers.RNN([layers.LSTMCell(3), layers.LSTMCell(2)])
    below.build((None, None, D))
    above.build((None, None, H))
    found, params = from_keras([below, above])
    assert found == tuple(Layer(cell, direction="fwd") for cell in (GRU, LSTM, LSTM))
    assert [one.rnn.w_x.shape[0] for one in params] == [D, H, 3]
