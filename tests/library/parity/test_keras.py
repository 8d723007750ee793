"""Keras 3 on JAX: layers both ways, with masks, from layers and from files."""

import jax
import keras
import numpy as np
import pytest
from keras.src.backend.common import dtypes

from birnn_jax import ELMAN, GRU, LSTM, Layer
from birnn_jax.cells import GRU_RESET_BEFORE, elman
from birnn_jax.interop.keras import from_keras, states_from_keras, states_to_keras, to_keras

from ._stacks import LENGTHS, D, H, T, assert_close, random_batch, random_params, run

CELLS = {
    "elman": ELMAN,
    "relu": elman(jax.nn.relu),
    "gru": GRU,
    "reset before": GRU_RESET_BEFORE,
    "lstm": LSTM,
}
# Keras 3.15 on NumPy 2, November 2026.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MASK = np.arange(T)[None] < LENGTHS[:, None]


@pytest.fixture(autouse=True)
def _float64(monkeypatch):
    # Keras brings every 64-bit result on JAX down to 32 bits, whatever the dtype of the layer.
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")


def in_keras(made, xs, states):
    finals = []
    for layer, state in zip(made, states, strict=True):
        xs, *final = layer(xs, mask=MASK, initial_state=state)
        finals.append(final)
    return finals, xs


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "mean"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS.keys())
def test_exported_layers_compute_the_same(cell, merge, rng):
    layers = Layer(cell, direction="fwd"), Layer(cell, merge=merge)
    params = random_params(layers, rng, hidden_size=[H, 4])
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial)
    made = to_keras(layers, params)
    finals, ys_keras = in_keras(made, xs, states_to_keras(initial))
    assert_close(np.asarray(ys_keras), ys)
    assert_close(states_from_keras(layers, finals), final)

    again_layers, again = from_keras(made)
    assert again_layers == layers
    assert_close(again, params)


@pytest.mark.parametrize("name", ["SimpleRNN", "GRU", "LSTM"])
def test_layers_without_bias_come_in(name, rng):
    inner = getattr(keras.layers, name)(
        H, use_bias=False, return_sequences=True, return_state=True, dtype="float64"
    )
    layer = keras.layers.Bidirectional(inner, dtype="float64")
    layer.build((None, None, D))
    layers, params = from_keras(layer)
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial)
    finals, ys_keras = in_keras([layer], xs, states_to_keras(initial))
    assert_close(np.asarray(ys_keras), ys)
    assert_close(states_from_keras(layers, finals), final)


def test_backward_layer_returns_its_steps_in_the_order_of_its_visits(rng):
    layers = (Layer(LSTM, direction="bwd"),)
    params = random_params(layers, rng)
    xs, initial = random_batch(layers, params, rng)
    final, ys = run(layers, params, xs, initial, lengths=None)
    (layer,) = to_keras(layers, params)
    ys_keras, *final_keras = layer(xs, initial_state=states_to_keras(initial)[0])
    assert_close(np.asarray(ys_keras)[:, ::-1], ys)
    assert_close(states_from_keras(layers, [final_keras]), final)
    assert from_keras(layer)[0] == layers


def saved_model(tmp_path):
    # The layer called "bidirectional" is the second of its class: files number them by class.
    model = keras.Sequential(
        [
            keras.Input((None, D)),
            keras.layers.Bidirectional(keras.layers.GRU(H, return_sequences=True), name="first"),
            keras.layers.Bidirectional(
                keras.layers.GRU(4, return_sequences=True, reset_after=False), merge_mode="ave"
            ),
            keras.layers.SimpleRNN(2, activation="relu", go_backwards=True),
            keras.layers.Dense(3),
        ]
    )
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    return model


def test_named_layers_come_from_a_keras_file(tmp_path):
    model = saved_model(tmp_path)
    names = [layer.name for layer in model.layers[:3]]
    layers, params = from_keras(tmp_path / "model.keras", names=names)
    want_layers, want = from_keras(model.layers[:3])
    assert layers == want_layers
    assert layers[2].direction == "bwd"
    assert_close(params, want, {"rtol": 0, "atol": 0})


def test_named_layers_come_from_a_weights_file(tmp_path):
    model = saved_model(tmp_path)
    names = [layer.name for layer in model.layers[:2]]
    layers, params = from_keras(tmp_path / "model.weights.h5", names=names)
    want_layers, want = from_keras(model.layers[:2])
    assert [layer.cell for layer in layers] == [layer.cell for layer in want_layers]
    assert_close(params, want, {"rtol": 0, "atol": 0})


def test_layers_of_a_file_must_be_named_when_there_are_several(tmp_path):
    saved_model(tmp_path)
    with pytest.raises(ValueError, match=r"\['first', 'bidirectional.*Give the names"):
        from_keras(tmp_path / "model.keras")


def test_backward_layers_below_others_are_refused():
    below, above = (keras.layers.GRU(H, go_backwards=True) for _ in range(2))
    below.build((None, None, D))
    above.build((None, None, H))
    with pytest.raises(ValueError, match="reversed order"):
        from_keras([below, above])
    with pytest.raises(ValueError, match="no weights yet"):
        from_keras(keras.layers.GRU(H))
