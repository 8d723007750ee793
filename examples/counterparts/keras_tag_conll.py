"""`examples/tag_conll.py` in Keras 3, as keras.io teaches it."""

import gzip
import os
from collections import Counter
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import tyro
from keras import layers, ops

DATA = Path(__file__).parents[2] / "experiments" / "data" / "pos_ewt_tiny.tsv.gz"
WIDTH = 16


def read_conll(path, part):
    sentences, words, tags, split = [], [], [], "train"
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
        for line in [*file, "\n"]:
            if line.startswith("# split = "):
                split = line.split()[-1]
            elif line.strip():
                words.append(line.split()[0])
                tags.append(line.split()[-1])
            elif words:
                if split == part:
                    sentences.append((words, tags))
                words, tags = [], []
    return sentences


class CRF(layers.Dense):
    """Logits, and a linear chain over them; in `labels` -1 is padding."""

    def build(self, shape):
        super().build(shape)
        self.transitions = self.add_weight(shape=(self.units, self.units), name="transitions")

    def compute_mask(self, logits, mask=None):
        return None  # else Keras expects one loss a step

    def loss(self, labels, logits):
        labels = ops.cast(labels, "int32")
        mask = ops.cast(labels >= 0, logits.dtype)
        labels = ops.maximum(labels, 0)
        at_label = ops.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
        moves = ops.take(self.transitions, labels[:, :-1], axis=0)
        moves = ops.take_along_axis(moves, labels[:, 1:, None], axis=-1)[..., 0]
        score = ops.sum(at_label * mask, axis=1) + ops.sum(moves * mask[:, 1:], axis=1)

        def step(alpha, inputs):
            logit, valid = inputs
            new = ops.logsumexp(alpha[:, :, None] + self.transitions, axis=1) + logit
            return ops.where(valid[:, None] > 0, new, alpha), None

        rest = (ops.swapaxes(logits[:, 1:], 0, 1), ops.swapaxes(mask[:, 1:], 0, 1))
        alpha, _ = ops.scan(step, logits[:, 0], rest)
        return (ops.logsumexp(alpha, axis=1) - score) / ops.sum(mask, axis=1)

    def decode(self, logits, mask):
        transitions, paths = ops.convert_to_numpy(self.transitions), []
        for row, length in zip(logits, mask.sum(axis=1), strict=True):
            best, pointers = row[0], []
            for logit in row[1:length]:
                scores = best[:, None] + transitions
                pointers.append(scores.argmax(axis=0))
                best = scores.max(axis=0) + logit
            path = [best.argmax()]
            for pointer in reversed(pointers):
                path.append(pointer[path[-1]])
            paths.append(path[::-1])
        return paths


def main(data: Path = DATA, epochs: int = 10, seed: int = 0, run: Path | None = None) -> None:
    keras.utils.set_random_seed(seed)
    parts = {part: read_conll(data, part) for part in ("train", "dev", "test")}
    train = parts["train"]
    counts = Counter(word.lower() for words, _ in train for word in words)
    vocabulary = {word: i + 2 for i, word in enumerate(w for w in counts if counts[w] > 1)}
    alphabet = {c: i + 2 for i, c in enumerate({c: 0 for ws, _ in train for w in ws for c in w})}
    tag_ids = {tag: i for i, tag in enumerate(sorted({tag for _, tags in train for tag in tags}))}

    length = max(len(words) for sentences in parts.values() for words, _ in sentences)

    def encode(sentences):
        pad = keras.utils.pad_sequences
        word_ids = [[vocabulary.get(word.lower(), 1) for word in words] for words, _ in sentences]
        spelled = np.zeros([len(sentences), length, WIDTH], np.int32)
        for i, (words, _) in enumerate(sentences):
            ids = [[alphabet.get(c, 1) for c in word] for word in words]
            spelled[i, : len(words)] = pad(ids, WIDTH, padding="post", truncating="post")
        labels = [[tag_ids.get(tag, 0) for tag in tags] for _, tags in sentences]
        return (
            {"words": pad(word_ids, length, padding="post"), "characters": spelled},
            pad(labels, length, padding="post", value=-1),
        )

    words = keras.Input((length,), dtype="int32", name="words")
    characters = keras.Input((length, WIDTH), dtype="int32", name="characters")
    flat = ops.reshape(characters, (-1, WIDTH))
    flat = layers.Embedding(len(alphabet) + 2, 32, mask_zero=True)(flat)
    spelled = layers.Bidirectional(layers.LSTM(64))(flat)
    spelled = ops.reshape(spelled, (-1, length, 128))
    xs = layers.Concatenate()([layers.Embedding(len(vocabulary) + 2, 100)(words), spelled])
    xs = layers.Dropout(0.4)(xs)
    xs = layers.Bidirectional(layers.LSTM(128, return_sequences=True))(
        xs, mask=ops.not_equal(words, 0)
    )
    crf = CRF(len(tag_ids))
    model = keras.Model([words, characters], crf(xs))
    schedule = keras.optimizers.schedules.CosineDecay(3e-3, epochs * -(-len(train) // 32))
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=1.0), loss=crf.loss)
    model.fit(
        *encode(train),
        batch_size=32,
        epochs=epochs,
        validation_data=encode(parts["dev"]),
        callbacks=[keras.callbacks.BackupAndRestore(run)] if run else [],
        verbose=2,
    )
    inputs, labels = encode(parts["test"])
    paths = crf.decode(model.predict(inputs, verbose=0), labels >= 0)
    answers = [[tag_ids.get(tag, -1) for tag in tags] for _, tags in parts["test"]]
    right = np.concatenate(paths) == np.concatenate(answers)
    print(f"accuracy {right.mean():.4f}")


tyro.cli(main)
