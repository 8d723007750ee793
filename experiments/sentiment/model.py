"""A classifier of sentences: words as vectors, a stack, a readout of all its steps, a softmax."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax

import birnn_jax
from birnn_jax import Bi, Total
from birnn_jax.models import ClassifierParams
from experiments.runner.data.keys import keys_of_rows
from experiments.words.model import WordParams, WordTagger, init_words, read_words

Batch = Mapping[str, jax.Array]
Readout = Literal["final", "mean", "max", "attention"]


class TextClassifier(NamedTuple):
    """The shape of the model: everything static about it."""

    words: WordTagger
    readout: Readout


class TextParams(NamedTuple):
    """Parameters of a `TextClassifier`."""

    words: jax.Array  # [V, E]
    characters: jax.Array  # [C, F]
    speller: Bi[Any]
    classifier: ClassifierParams

    @property
    def reader(self) -> WordParams:
        """Those of the words."""
        return WordParams(self.words, self.characters, self.speller)


def init_text_classifier(
    model: TextClassifier, key: jax.Array, *, hidden_size: int, num_classes: int, **sizes: int
) -> TextParams:
    """Makes the parameters, with sizes as in `init_words`; consumes `key`."""
    keys = jax.random.split(key, 4)
    reader = init_words(model.words.cell, keys[:3], **sizes)
    classifier = birnn_jax.init_classifier(
        model.words.layers,
        keys[3],
        input_size=sizes["word_size"] + 2 * sizes["speller_size"],
        hidden_size=hidden_size,
        num_classes=num_classes,
        readout=model.readout,
    )
    return TextParams(*reader, classifier=classifier)


def classify(
    model: TextClassifier, params: TextParams, batch: Batch, key: jax.Array | None
) -> jax.Array:
    """Scores every class for every sentence: logits `[B, K]`; no dropout where `key` is None."""
    key_word, key_input, key_stack = keys_of_rows(key, batch["rows"], 3)
    xs = read_words(model.words.reader, params.reader, batch, key_word, key_input)
    return birnn_jax.classifier(
        model.words.layers,
        params.classifier,
        xs,
        batch["lengths"],
        readout=model.readout,
        dropout=model.words.dropout,
        key=key_stack,
    )


def attention(model: TextClassifier, params: TextParams, batch: Batch) -> jax.Array:
    """The weight `[B, T]` of each word in the readout by attention; a sentence's add up to 1."""
    if params.classifier.attention is None:
        raise ValueError(f"A readout by {model.readout} has no attention.")
    xs = read_words(model.words.reader, params.reader, batch, None, None)
    _, ys = birnn_jax.stack(model.words.layers, params.classifier.rnn, xs, batch["lengths"])
    _, weights = birnn_jax.models.attention_pool(params.classifier.attention, ys, batch["lengths"])
    return weights


def text_totals(
    model: TextClassifier, params: TextParams, batch: Batch, key: jax.Array | None
) -> dict[str, Total]:
    """Loss, in nats a sentence, and accuracy of a batch.

    A sentence whose label was not in training (-1) has no loss, and counts as wrong.
    """
    logits = classify(model, params, batch, key)
    labels, valid = batch["label"], batch["lengths"] > 0
    return {
        "loss": birnn_jax.cross_entropy(logits, labels, valid & (labels >= 0)),
        "accuracy": birnn_jax.accuracy(logits, labels, valid),
    }
