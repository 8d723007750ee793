"""Learns classes of sentences, from lines with a part, a class and a text between tabs.

    python examples/classify_sentences.py --run runs/sentences
    python examples/classify_sentences.py --data mine.tsv

A training that was killed continues where it was, if the same command is given again.
"""

import re
from pathlib import Path

import jax
import optax
import tyro

from birnn_jax import LSTM, accuracy, classifier, cross_entropy, init_classifier, make_optimizer
from birnn_jax.data import padded_batches
from birnn_jax.text import build_vocabulary
from birnn_jax.training import fit

DATA = Path(__file__).parents[1] / "experiments" / "data" / "sentiment_uci3000.tsv"


def loss_fn(params, batch, key):
    (words, labels), lengths = batch.values, batch.lengths[0]
    logits = classifier(LSTM, params, words, lengths, readout="mean", dropout=0.5, key=key)
    measures = {"loss": cross_entropy, "accuracy": accuracy}
    return {name: measure(logits, labels, lengths > 0) for name, measure in measures.items()}


def main(data: Path = DATA, epochs: int = 10, seed: int = 0, run: Path | None = None) -> None:
    lines = [line.split("\t") for line in data.read_text(encoding="utf-8").splitlines()]
    texts = [re.findall(r"\w+|[^\w\s]", line[-1].lower()) for line in lines]
    rows = [(line[0], line[1], text) for line, text in zip(lines, texts, strict=True)]
    words = build_vocabulary([text for part, _, text in rows if part == "train"], min_count=2)
    classes = sorted({name for _, name, _ in rows})

    def batches(part, **options):
        chosen = [(name, text) for of, name, text in rows if of == part]
        examples = [(words.encode(text), classes.index(name)) for name, text in chosen]
        return padded_batches(examples, batch_size=32, **options)

    train = batches("train", buckets=2, seed=seed)
    dev, test = (batches(part, buckets=train.buckets) for part in ("dev", "test"))
    optimizer = make_optimizer(optax.cosine_decay_schedule(3e-3, epochs * len(train)), clip_norm=1)
    key, key_params = jax.random.split(jax.random.key(seed))
    sizes = {"num_classes": len(classes), "num_tokens": len(words)}
    params = init_classifier(LSTM, key_params, 50, 32, **sizes, readout="mean")
    options = {"dev": dev, "test": test, "epochs": epochs, "directory": run, "score": "accuracy"}
    fitted = fit(loss_fn, optimizer, params, train, key=key, **options)
    print(f"accuracy {fitted.test['accuracy']:.4f}")


tyro.cli(main)
