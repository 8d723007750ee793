"""`examples/classify_sentences.py` in Keras 3, as keras.io teaches it."""

import os
import re
from collections import Counter
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import tyro
from keras import layers

DATA = Path(__file__).parents[2] / "experiments" / "data" / "sentiment_uci3000.tsv"


def main(data: Path = DATA, epochs: int = 10, seed: int = 0, run: Path | None = None) -> None:
    keras.utils.set_random_seed(seed)
    lines = [line.split("\t") for line in data.read_text(encoding="utf-8").splitlines()]
    texts = [re.findall(r"\w+|[^\w\s]", line[-1].lower()) for line in lines]
    counts = Counter(
        word for line, text in zip(lines, texts) if line[0] == "train" for word in text
    )
    vocabulary = {word: i + 2 for i, word in enumerate(w for w in counts if counts[w] > 1)}
    class_ids = {name: i for i, name in enumerate(sorted({line[1] for line in lines}))}
    longest = max(map(len, texts))

    def encode(part):
        chosen = [i for i, line in enumerate(lines) if line[0] == part]
        ids = [[vocabulary.get(word, 1) for word in texts[i]] for i in chosen]
        labels = np.array([class_ids[lines[i][1]] for i in chosen])
        return keras.utils.pad_sequences(ids, longest, padding="post"), labels

    x_train, y_train = encode("train")
    model = keras.Sequential(
        [
            keras.Input((longest,), dtype="int32"),
            layers.Embedding(len(vocabulary) + 2, 50, mask_zero=True),
            layers.Dropout(0.5),
            layers.Bidirectional(layers.LSTM(32, return_sequences=True)),
            layers.GlobalAveragePooling1D(),
            layers.Dense(len(class_ids)),
        ]
    )
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(x_train) // 32))
    model.compile(
        keras.optimizers.Adam(schedule, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(
        x_train,
        y_train,
        batch_size=32,
        epochs=epochs,
        validation_data=encode("dev"),
        callbacks=[keras.callbacks.BackupAndRestore(run)] if run else [],
        verbose=2,
    )
    _, accuracy = model.evaluate(*encode("test"), verbose=0)
    print(f"accuracy {accuracy:.4f}")


tyro.cli(main)
