"""Makes files.zip, a model in the files of Keras 2 and what its recurrent layers compute.

pip install "tensorflow-cpu<2.16"
python make.py
"""

import pathlib
import tempfile
import zipfile

import numpy as np
import tensorflow as tf

keras = tf.keras
layers = keras.layers
B, T = 3, 5
LENGTHS = np.array([5, 2, 4])


class Subclass(layers.LSTM):
    """A class of one's own, with the settings of its base."""


def inner_model(name, units, **settings):
    """A model inside the model; both have a layer of the same name."""
    xs = keras.Input((None, 3))
    return keras.Model(
        xs, layers.GRU(units, return_sequences=True, name="gru", **settings)(xs), name=name
    )


def make_model():
    """Every kind of recurrent layer; files number the classes in another order than names do."""
    xs = keras.Input((None, 3))
    left, right = inner_model("left", 4), inner_model("right", 5, reset_after=False)
    ys = layers.Concatenate()([left(xs), right(xs)])
    for layer in [
        layers.Bidirectional(layers.LSTM(2, return_sequences=True), "sum", name="bidirectional_1"),
        layers.Bidirectional(layers.SimpleRNN(3, return_sequences=True), None, name="two"),
        layers.Concatenate(),
        layers.RNN(layers.LSTMCell(4), return_sequences=True, name="cell"),
        layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True, name="cells"),
        layers.Bidirectional(layers.RNN(layers.GRUCell(3), return_sequences=True), name="both"),
        Subclass(3, return_sequences=True, use_bias=False, name="subclass"),
        keras.Sequential(
            [layers.SimpleRNN(4, "relu", return_sequences=True, name="relu")], "inner"
        ),
    ]:
        ys = layer(ys)
    return keras.Model(xs, ys)


def recurrent(model, path=""):
    """Recurrent layers by their paths."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from recurrent(layer, f"{path}{layer.name}/")
        elif isinstance(layer, (layers.RNN, layers.Bidirectional)):
            yield path + layer.name, layer


def outputs(model, rng):
    """Random inputs of every recurrent layer, and what it makes of them."""
    mask, arrays = np.arange(T) < LENGTHS[:, None], {}
    for name, layer in recurrent(model):
        xs = rng.normal(size=(B, T, layer.input_shape[-1])).astype(np.float32)
        ys = layer(xs, mask=tf.constant(mask))
        arrays[f"{name}.xs"] = xs
        arrays[f"{name}.ys"] = np.concatenate(ys, axis=-1) if isinstance(ys, list) else ys.numpy()
    return arrays


def pack(folder, path):
    """Writes all files of a folder into an archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)


def main():
    """Writes the files."""
    rng = np.random.default_rng(0)
    model = make_model()
    model.set_weights([rng.normal(size=w.shape) / 2 for w in model.get_weights()])
    arrays = {"lengths": LENGTHS} | outputs(model, rng)
    model.get_layer("bidirectional_1").forward_layer.trainable = False  # comes last then
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        np.savez(folder / "outputs.npz", **arrays)
        for file in ("model.h5", "model.keras"):
            model.save(folder / file)
        for file in ("model.weights.h5", "older_weights.h5"):
            model.save_weights(folder / file)
        pack(folder, pathlib.Path(__file__).with_name("files.zip"))


if __name__ == "__main__":
    main()
