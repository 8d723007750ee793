"""A classifier of sentences: words as vectors, a stack, a readout of all its steps, a softmax."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import birnn_jax
from birnn_jax import Bi, Total
from birnn_jax.models import ClassifierParams
from experiments.runner.data.keys import keys_of_rows
from experiments.runner.data.parts import Part
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.programs import quick_jit
from experiments.sentiment.config import TextClassifier, TextConfig
from experiments.sentiment.data import Text, encode_texts
from experiments.words.data import Vocabulary
from experiments.words.model import (
    WordParams,
    init_words,
    label_rows,
    load_words,
    make_word_training,
    read_words,
)
from experiments.words.vectors import put_vectors

Batch = Mapping[str, jax.Array]


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


def init_params(
    config: TextConfig,
    vocabulary: Vocabulary,
    key: jax.Array,
    vectors: Mapping[str, np.ndarray] | None = None,
) -> TextParams:
    """The parameters before training, words with a vector starting from it; consumes `key`."""
    sizes = config.sizes(vocabulary)
    params = init_text_classifier(config.model(), key, num_classes=len(vocabulary.tags), **sizes)
    return params._replace(words=put_vectors(params.words, vocabulary, vectors or {}))


class Judged(NamedTuple):
    """A text, what the classifier makes of it, and the weight of each of its words."""

    text: Text
    label: str
    probability: float
    weights: list[float] | None  # with the readout by attention only

    @property
    def is_right(self) -> bool:
        """Whether the label is right."""
        return self.label == self.text.label


class TrainedClassifier(NamedTuple):
    """Labels sentences with a trained model."""

    config: TextConfig
    params: Any
    vocabulary: Vocabulary

    def judge(self, texts: Sequence[Text]) -> list[Judged]:
        """Labels texts, each of one word at least."""
        examples = encode_texts(self.config, self.vocabulary, texts)
        model, size = self.config.model(), self.config.tokens_per_batch
        rows = label_rows(functools.partial(_probabilities, model, self.params), examples, size)
        judged = [
            Judged(text, self.vocabulary.tags[row[0].argmax()], float(row[0].max()), None)
            for text, row in zip(texts, rows, strict=True)
        ]
        if model.readout != "attention":
            return judged
        weights = label_rows(functools.partial(_attention, model, self.params), examples, size)
        return [
            result._replace(weights=row.tolist())
            for result, row in zip(judged, weights, strict=True)
        ]


@quick_jit(static_argnames="model")
def _probabilities(model: TextClassifier, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    """`[B, 1, K]`."""
    return jax.nn.softmax(classify(model, params, batch, key=None), axis=-1)[:, None]


_attention = quick_jit(static_argnames="model")(attention)


def make_training(
    config: TextConfig,
    vocabulary: Vocabulary,
    parts: dict[Part, list[Text]],
    vectors: dict[str, Any],
) -> loop.Training:
    """Says to the runner what to train."""
    return make_word_training(
        config,
        loss_fn=functools.partial(text_totals, config.model()),
        init_params=functools.partial(init_params, config, vocabulary, vectors=vectors),
        train=encode_texts(config, vocabulary, parts["train"]),
        dev=encode_texts(config, vocabulary, parts["dev"]),
        metric="accuracy",
    )


def load_classifier(folder: RunFolder) -> TrainedClassifier:
    """The best checkpoint of a run, from its folder alone."""
    return TrainedClassifier(*load_words(folder, TextConfig, init_params))
