"""`examples/recognise_speech.py` in Keras 3, as keras.io teaches it."""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import tyro
from digits import read_digits
from keras import layers, ops


def count_edits(wanted, found):
    row = list(range(len(found) + 1))
    for i, label in enumerate(wanted):
        before, row[0] = row[0], i + 1
        for j, other in enumerate(found):
            before, row[j + 1] = (
                row[j + 1],
                min(row[j] + 1, row[j + 1] + 1, before + (label != other)),
            )
    return row[-1]


def ctc_loss(labels, logits):
    labels, steps = ops.cast(labels[:, :-1], "int32"), ops.cast(labels[:, -1], "int32")
    return ops.ctc_loss(labels, logits, ops.sum(labels != 0, axis=1), steps, mask_index=0)


def main(epochs: int = 10, seed: int = 0, run: Path | None = None) -> None:
    keras.utils.set_random_seed(seed)
    parts = read_digits()
    longest = max(len(frames) for part in parts.values() for frames, _ in part)
    longest = -(-longest // 4) * 4
    most = max(len(digits) for part in parts.values() for _, digits in part)

    def encode(part):
        pad = keras.utils.pad_sequences
        frames = pad([frames for frames, _ in part], longest, dtype="float32", padding="post")
        labels = pad([[digit + 1 for digit in digits] for _, digits in part], most, padding="post")
        steps = [[-(-len(frames) // 4)] for frames, _ in part]  # of the logits
        return frames, np.concatenate([labels, steps], axis=1)

    inputs = keras.Input((longest, 39))
    valid = ops.any(ops.not_equal(inputs, 0), axis=-1)
    xs = layers.GaussianNoise(0.3)(inputs)
    xs = layers.Dropout(0.2)(xs)
    xs = layers.Reshape((longest // 2, 78))(xs)
    xs = layers.Bidirectional(layers.LSTM(96, return_sequences=True))(xs, mask=valid[:, ::2])
    xs = layers.Dropout(0.4)(xs)
    xs = layers.Reshape((longest // 4, 384))(xs)
    xs = layers.Bidirectional(layers.LSTM(96, return_sequences=True))(xs, mask=valid[:, ::4])
    logits = layers.Dense(11)(xs) + 0.0  # without the mask, by which Keras would average the loss
    model = keras.Model(inputs, logits)
    schedule = keras.optimizers.schedules.CosineDecay(4e-3, epochs * -(-len(parts["train"]) // 32))
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=1.0), loss=ctc_loss)
    model.fit(
        *encode(parts["train"]),
        batch_size=32,
        epochs=epochs,
        validation_data=encode(parts["dev"]),
        callbacks=[keras.callbacks.BackupAndRestore(run)] if run else [],
        verbose=2,
    )
    frames, labels = encode(parts["test"])
    logits = model.predict(frames, verbose=0)
    (decoded,), _ = ops.ctc_decode(logits, labels[:, -1], strategy="greedy", mask_index=0)
    found = [[label - 1 for label in row if label > 0] for row in np.asarray(decoded)]
    wanted = [digits for _, digits in parts["test"]]
    edits = sum(map(count_edits, wanted, found))
    print(f"accuracy {1 - edits / sum(map(len, wanted)):.4f}")


tyro.cli(main)
