"""Training a classifier of sentences, and the trained one from its run folder."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.runner.data.parts import Part
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.sentiment.config import TextConfig
from experiments.sentiment.data import Text, encode_texts
from experiments.sentiment.model import (
    TextClassifier,
    TextParams,
    attention,
    classify,
    init_text_classifier,
    text_totals,
)
from experiments.words.data import Vocabulary
from experiments.words.training import label_rows, make_word_training
from experiments.words.vectors import put_vectors


def init_params(
    config: TextConfig, vocabulary: Vocabulary, vectors: dict[str, np.ndarray], key: jax.Array
) -> TextParams:
    """The parameters before training, words with a vector starting from it; consumes `key`."""
    sizes = config.sizes(vocabulary)
    params = init_text_classifier(config.model(), key, num_classes=len(vocabulary.tags), **sizes)
    return params._replace(words=put_vectors(params.words, vocabulary, vectors))


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
            one._replace(weights=row.tolist()) for one, row in zip(judged, weights, strict=True)
        ]


@jax.jit(static_argnames="model")
def _probabilities(model: TextClassifier, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    """`[B, 1, K]`."""
    return jax.nn.softmax(classify(model, params, batch, key=None), axis=-1)[:, None]


_attention = jax.jit(attention, static_argnames="model")
VOCABULARY = "vocabulary.json"


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
        init_params=functools.partial(init_params, config, vocabulary, vectors),
        train=encode_texts(config, vocabulary, parts["train"]),
        dev=encode_texts(config, vocabulary, parts["dev"]),
        metric="accuracy",
    )


def load_classifier(folder: RunFolder) -> TrainedClassifier:
    """The best checkpoint of a run, from its folder alone."""
    config = TextConfig(**{"segmentation": "characters", **folder.settings})  # of runs before it
    vocabulary = Vocabulary.load(folder.path / VOCABULARY)
    params = best_params(folder, config, functools.partial(init_params, config, vocabulary, {}))
    return TrainedClassifier(config, params, vocabulary)
