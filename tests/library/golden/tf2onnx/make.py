"""Makes files.zip, models of Keras as tf2onnx and Keras write them in ONNX, and their outputs.

pip install tensorflow-cpu==2.21.0 keras==3.15.1 tf_keras==2.21.0 tf2onnx==1.17.0
python make.py

keras_3.onnx is by Keras' own `model.export(format="onnx")`, keras_2.onnx by
`tf2onnx.convert.from_keras` of a model of Keras 2 (tf_keras). Each layer reads what the one before
it gives; the .npz beside a model has all of that. tf2onnx writes the GRU and the SimpleRNN of Keras
3 as a `Loop`, and a GRU of Keras 2 with `reset_after=False`; the last one is in keras_2.onnx.
"""

import pathlib
import tempfile
import zipfile

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
import tf_keras

B, T, D = 3, 5, 3


def make_layers(layers):
    """Layers by their names in the files."""
    kept = {"return_sequences": True}
    yield "lstm", layers.LSTM(4, **kept)
    yield "both", layers.Bidirectional(layers.LSTM(2, **kept))
    yield "backwards", layers.LSTM(3, go_backwards=True, **kept)
    yield "no_bias", layers.LSTM(2, use_bias=False, **kept)
    if layers is tf_keras.layers:
        yield "gru", layers.GRU(4, **kept)
        yield "gru_both", layers.Bidirectional(layers.GRU(3, **kept))
        yield "gru_reset_before", layers.GRU(2, reset_after=False, **kept)


def make_model(library, rng):
    """A model of all layers, the last of which starts from states that are given."""
    xs = ys = library.Input((T, D), name="xs")
    states = [library.Input((3,), name=name) for name in "hc"]
    inner = {}
    for name, layer in make_layers(library.layers):
        ys = inner[name] = layer(ys)
    inner["given"] = library.layers.LSTM(3, return_sequences=True)(ys, initial_state=states)
    model = library.Model([xs, *states], [*inner.values()])
    model.set_weights([rng.normal(size=array.shape) / 2 for array in model.get_weights()])
    return model, [*inner]


def main():
    """Writes the files."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for library, file in ((keras, "keras_3"), (tf_keras, "keras_2")):
            model, names = make_model(library, rng)
            arrays = {"xs": rng.normal(size=(B, T, D)), "h": rng.normal(size=(B, 3))}
            arrays = {key: np.float32(array) for key, array in arrays.items()}
            arrays["c"] = np.float32(rng.normal(size=(B, 3)))
            found = model([arrays["xs"], arrays["h"], arrays["c"]])
            arrays |= {key: np.asarray(ys) for key, ys in zip(names, found, strict=True)}
            np.savez(folder / f"{file}.npz", **arrays)
            path = str(folder / f"{file}.onnx")
            if library is keras:
                model.export(path, format="onnx", verbose=False)
            else:
                sizes = {"xs": (T, D), "h": (3,), "c": (3,)}
                specs = [tf.TensorSpec((None, *size), name=key) for key, size in sizes.items()]
                tf2onnx.convert.from_keras(model, specs, opset=17, output_path=path)
        packed = pathlib.Path(__file__).with_name("files.zip")
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)


if __name__ == "__main__":
    main()
