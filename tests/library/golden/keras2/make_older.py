"""Makes older_files.zip: a .keras file of Keras 2.12, and the layers of cuDNN in .h5 files.

pip install "tensorflow-cpu==2.12.*"
python make_older.py
"""

import pathlib
import tempfile

import make
import numpy as np
import tensorflow as tf

keras = tf.keras
layers = keras.layers
cudnn = tf.compat.v1.keras.layers


def make_recurrent(lstm, gru):
    """A model of layers of cuDNN, which CPUs cannot run, or of those that compute the same."""
    xs = keras.Input((None, 3))
    ys = lstm(4, return_sequences=True, name="cudnn_lstm")(xs)
    ys = layers.Bidirectional(gru(3, return_sequences=True), name="cudnn_both")(ys)
    ys = layers.Bidirectional(lstm(2, return_sequences=True), "sum", name="cudnn_sum")(ys)
    return keras.Model(xs, gru(2, return_sequences=True, name="cudnn_gru")(ys))


def fill(model, rng):
    """Gives the model random weights."""
    model.set_weights([rng.normal(size=w.shape) / 2 for w in model.get_weights()])
    return model


def main():
    """Writes the files."""
    rng = np.random.default_rng(0)
    arrays = {"lengths": make.LENGTHS}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        model = fill(make.make_model(), rng)
        model.save(folder / "model.keras", save_format="keras_v3")
        model.save_weights(folder / "model.weights.h5")
        arrays |= make.outputs(model, rng)

        model = fill(make_recurrent(cudnn.CuDNNLSTM, cudnn.CuDNNGRU), rng)
        model.save(folder / "cudnn.h5")
        model.save_weights(folder / "cudnn_weights.h5")
        plain = make_recurrent(layers.LSTM, layers.GRU)
        plain.load_weights(folder / "cudnn.h5")  # by the conversion that is Keras' own
        arrays |= make.outputs(plain, rng)

        np.savez(folder / "outputs.npz", **arrays)
        make.pack(folder, pathlib.Path(__file__).with_name("older_files.zip"))


if __name__ == "__main__":
    main()
