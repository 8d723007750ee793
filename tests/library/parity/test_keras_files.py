"""Files of Keras 2 and 3: whole models and weights, layers of one name in several models."""

import pathlib
import zipfile

import h5py
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from keras import layers

from birnn_jax import GRU, LSTM, Layer, stack
from birnn_jax.cells import GRU_RESET_BEFORE, elman
from birnn_jax.interop.keras import from_keras

from ._stacks import EXACT, TOLERANCE_FLOAT32, D, H, assert_close
from .test_keras import pytestmark as pytestmark

KERAS_2 = pathlib.Path(__file__).parents[1] / "golden" / "keras2"
PATHS = "left/gru right/gru bidirectional_1 two cell cells both subclass inner/relu".split()


def unpack(name, tmp_path_factory):
    """The folder with the files that were made, and the outputs of the layers."""
    folder = tmp_path_factory.mktemp("keras2")
    with zipfile.ZipFile(KERAS_2 / name) as archive:
        archive.extractall(folder)
    return folder, dict(np.load(folder / "outputs.npz"))


@pytest.fixture(scope="module")
def keras_2(tmp_path_factory):
    return unpack("files.zip", tmp_path_factory)


@pytest.fixture(scope="module")
def older_keras_2(tmp_path_factory):
    return unpack("older_files.zip", tmp_path_factory)


def assert_outputs_are_those(layers_and_params, arrays, path):
    xs, ys, lengths = arrays[f"{path}.xs"], arrays[f"{path}.ys"], arrays["lengths"]
    valid = np.arange(xs.shape[1])[:, None] < lengths[:, None, None]
    got = stack(*layers_and_params, jnp.asarray(xs), lengths)[1]
    assert_close(got, np.where(valid, ys, 0), TOLERANCE_FLOAT32)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("file", ["model.h5", "model.keras"])
def test_whole_models_of_keras_2_compute_the_same(file, path, keras_2):
    folder, arrays = keras_2
    for name in {path, path.rpartition("/")[2]} - {"gru"}:
        assert_outputs_are_those(from_keras(folder / file, names=[name]), arrays, path)


@pytest.mark.parametrize("path", sorted({*PATHS} - {"bidirectional_1", "inner/relu"}))
def test_weights_of_keras_2_in_the_older_layout_compute_the_same(path, keras_2):
    folder, arrays = keras_2  # without a configuration a merge is "concat", a SimpleRNN is a tanh
    assert_outputs_are_those(from_keras(folder / "older_weights.h5", names=path), arrays, path)


@pytest.mark.parametrize("path", PATHS)
def test_models_of_keras_2_12_compute_the_same(path, older_keras_2):
    folder, arrays = older_keras_2
    assert_outputs_are_those(from_keras(folder / "model.keras", names=path), arrays, path)


@pytest.mark.parametrize(
    ("group", "path"), [("bidirectional_2", "two"), ("functional_2/{}/gru", "right/gru")]
)
def test_weights_of_keras_2_12_go_by_their_places(group, path, older_keras_2):
    folder, arrays = older_keras_2
    place = "_layer_checkpoint_dependencies"
    name = f"{place}/{group.format(place)}"
    assert_outputs_are_those(from_keras(folder / "model.weights.h5", names=name), arrays, path)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        *(("cudnn.h5", f"cudnn_{name}") for name in ("lstm", "both", "sum", "gru")),
        *(("cudnn_weights.h5", f"cudnn_{name}") for name in ("lstm", "both", "gru")),
    ],
)
def test_layers_of_cudnn_compute_what_keras_makes_of_them(file, name, older_keras_2):
    folder, arrays = older_keras_2
    assert_outputs_are_those(from_keras(folder / file, names=name), arrays, name)


def test_layers_of_cudnn_in_memory_are_those_of_the_file(older_keras_2):
    path = older_keras_2[0] / "cudnn.h5"
    with h5py.File(path) as file:
        group = file["model_weights"]["cudnn_gru"]["cudnn_gru"]
        weights = {name.partition(":")[0]: np.asarray(group[name]) for name in group}
    settings = {"name": "cudnn_gru", "built": True, "go_backwards": False, "call": None}
    settings |= {"get_config": lambda self: {}, "cell": None}
    layer = type("CuDNNGRU", (), settings | weights)()
    assert_same(from_keras(layer), from_keras(path, names="cudnn_gru"))


PLACES = {
    "layers/bidirectional_1": "two",
    "layers/functional/layers/gru": "left/gru",
    "layers/functional_1/layers/gru": "right/gru",
    "layers/rnn": "cell",
    "layers/subclass": "subclass",
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_of_keras_2_in_the_newer_layout_go_by_their_places(place, keras_2):
    folder, arrays = keras_2
    found = from_keras(folder / "model.weights.h5", names=place)
    assert_outputs_are_those(found, arrays, PLACES[place])


def test_names_are_not_the_numbers_of_groups(keras_2):
    with pytest.raises(ValueError, match="'layers/bidirectional', 'layers/bidirectional_1'"):
        from_keras(keras_2[0] / "model.weights.h5", names=["bidirectional_1"])


@pytest.mark.parametrize("file", ["model.h5", "model.keras", "older_weights.h5"])
@pytest.mark.parametrize("name", ["gru", "ru", None, "left"])
def test_names_of_several_or_no_layers_are_refused(name, file, keras_2):
    with pytest.raises(ValueError, match=rf"{file} .*'left/gru', 'right/gru', .* the paths shown"):
        from_keras(keras_2[0] / file, names=name)


class Subclass(layers.GRU):
    """A class of one's own, with the settings of its base."""


class Model(keras.Model):
    """A model of one's own, which describes itself by no layers."""

    def __init__(self, **options):
        super().__init__(**options)
        self.encoder = layers.Bidirectional(layers.GRU(H, return_sequences=True), name="named")

    def call(self, xs):
        return self.encoder(xs)


def inner_model(name, units, **settings):
    xs = keras.Input((None, D))
    return keras.Model(
        xs, layers.GRU(units, return_sequences=True, name="gru", **settings)(xs), name=name
    )


@pytest.fixture(scope="module")
def keras_3():
    """A model with random weights, and its layers by their paths."""
    xs = keras.Input((None, D))
    left, right = inner_model("left", 4), inner_model("right", 5, reset_after=False)
    ys = layers.Concatenate()([left(xs), right(xs)])
    made = {
        "bidirectional_1": layers.Bidirectional(
            layers.LSTM(2, return_sequences=True), "sum", name="bidirectional_1"
        ),
        "two": layers.Bidirectional(layers.SimpleRNN(3, return_sequences=True), "mul", name="two"),
        "cell": layers.RNN(layers.LSTMCell(4), return_sequences=True, name="cell"),
        "cells": layers.RNN(
            [layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True, name="cells"
        ),
        "both": layers.Bidirectional(
            layers.RNN(layers.GRUCell(3), return_sequences=True), name="both"
        ),
        "subclass": Subclass(3, return_sequences=True, use_bias=False, name="subclass"),
        "timed": layers.TimeDistributed(layers.Dense(3), name="timed"),
        "relu": layers.SimpleRNN(4, "relu", go_backwards=True, name="relu"),
    }
    for layer in made.values():
        ys = layer(ys)
    model = keras.Model(xs, ys)
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    made["bidirectional_1"].forward_layer.trainable = False  # comes last then
    made |= {"left/gru": left.layers[-1], "right/gru": right.layers[-1]}
    return model, {path: layer for path, layer in made.items() if path != "timed"}


def assert_same(got, want):
    assert got[0] == want[0]
    assert_close(got[1], want[1], EXACT)


@pytest.fixture(scope="module", params=["model.keras", "model.h5"])
def keras_3_file(request, keras_3, tmp_path_factory):
    path = tmp_path_factory.mktemp("keras3") / request.param
    keras_3[0].save(path)
    return path


def test_whole_models_of_keras_3_hold_their_layers(keras_3, keras_3_file):
    _, made = keras_3
    for path, layer in made.items():
        assert_same(from_keras(keras_3_file, names=[path]), from_keras(layer))
    want = [made["cells"], made["both"]]
    assert_same(from_keras(keras_3_file, names=["cells", "both"]), from_keras(want))
    with pytest.raises(ValueError, match=r"'left/gru', 'right/gru', .* the paths shown"):
        from_keras(keras_3_file, names=["gru"])


def test_weights_of_keras_3_hold_their_layers(keras_3, tmp_path):
    model, made = keras_3
    model.save_weights(tmp_path / "model.weights.h5")
    for path in ("left/gru", "right/gru", "cell", "both", "subclass"):
        assert_same(from_keras(tmp_path / "model.weights.h5", names=path), from_keras(made[path]))


def test_kinds_of_a_file_are_those_of_the_layers(keras_3_file):
    names = ["left/gru", "right/gru", "bidirectional_1", "relu"]
    got, _ = from_keras(keras_3_file, names=names)
    cells = [GRU, GRU_RESET_BEFORE]
    assert got[:2] == tuple(Layer(cell, direction="fwd") for cell in cells)
    assert got[2:] == (Layer(LSTM, merge="sum"), Layer(elman(jax.nn.relu), direction="bwd"))


def test_model_of_ones_own_class_goes_by_its_weights(tmp_path):
    model = Model()
    model(np.zeros((1, 2, D), np.float32))
    model.save(tmp_path / "model.keras")
    for names in (None, "named"):
        assert_same(from_keras(tmp_path / "model.keras", names=names), from_keras(model.encoder))


def test_weights_in_bfloat16_stay_so(tmp_path):
    options = {"recurrent_initializer": "glorot_uniform", "dtype": "bfloat16"}
    model = keras.Sequential([keras.Input((None, D)), layers.LSTM(H, **options)])
    for name in ("model.keras", "model.weights.h5"):
        save = model.save if name == "model.keras" else model.save_weights
        save(tmp_path / name)
        layers_and_params = from_keras(tmp_path / name)
        assert layers_and_params[1][0].rnn.w_x.dtype == jnp.bfloat16
        assert_same(layers_and_params, from_keras(model.layers[0]))


def test_damaged_files_are_told(keras_3_file, tmp_path):
    content = keras_3_file.read_bytes()
    path = tmp_path / keras_3_file.name
    for length in (0, 3, 20, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=rf"{path.name} is (empty|of an unk|damaged|a ZIP)"):
            from_keras(path)
    path.write_bytes(content[:3000] + bytes(1000) + content[4000:])
    with pytest.raises(ValueError, match=path.name):
        from_keras(path, names="cell")


def test_other_files_are_told(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"1")
    with pytest.raises(ValueError, match="is a SavedModel of TensorFlow; from_keras reads"):
        from_keras(tmp_path / "model")
