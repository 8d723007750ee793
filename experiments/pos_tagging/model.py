"""A part-of-speech tagger: parameters, loss, training, and the trained one from its run folder."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import Total
from experiments.pos_tagging.config import TaggingConfig
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.loop import LossFn
from experiments.runner.run.programs import quick_jit
from experiments.words.config import WordTagger
from experiments.words.data import Encoder, Sentence, Vocabulary
from experiments.words.model import (
    init_word_tagger,
    label_rows,
    load_words,
    make_word_training,
    score,
)


def make_loss(model: WordTagger) -> LossFn:
    """The loss function of training, evaluation and tests."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        return tagging_totals(score(model, params, batch, key), batch)

    return loss_fn


def tagging_totals(logits: jax.Array, batch: Mapping[str, jax.Array]) -> dict[str, Total]:
    """Loss and accuracy over the words of a batch.

    A word whose tag was not in training (label -1) has no loss, and counts as wrong.
    """
    valid = jnp.arange(logits.shape[1])[None] < batch["lengths"][:, None]
    labels = batch["labels"]
    return {
        "loss": birnn_jax.cross_entropy(logits, labels, valid & (labels >= 0)),
        "accuracy": birnn_jax.accuracy(logits, labels, valid),
    }


def init_params(config: TaggingConfig, vocabulary: Vocabulary, key: jax.Array) -> Any:
    """The parameters before training; consumes `key`."""
    return init_word_tagger(
        config.tagger, key, num_tags=len(vocabulary.tags), **config.sizes(vocabulary)
    )


class TrainedTagger(NamedTuple):
    """Tags sentences with a trained model."""

    config: TaggingConfig
    params: Any
    vocabulary: Vocabulary

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each word of each sentence; a sentence has at least one word."""
        encoder = Encoder(self.vocabulary, self.config.word_width)
        labels = label_rows(
            functools.partial(_best_tags, self.config.tagger, self.params),
            [encoder.encode_words(words) for words in sentences],
            self.config.tokens_per_batch,
        )
        return [[self.vocabulary.tags[k] for k in row] for row in labels]


@quick_jit(static_argnames="model")
def _best_tags(model: WordTagger, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return score(model, params, batch, key=None).argmax(axis=-1)


def make_training(
    config: TaggingConfig, vocabulary: Vocabulary, train: list[Sentence], dev: list[Sentence]
) -> loop.Training:
    """Says to the runner what to train."""
    encoder = Encoder(vocabulary, config.word_width)
    return make_word_training(
        config,
        loss_fn=make_loss(config.tagger),
        init_params=functools.partial(init_params, config, vocabulary),
        train=encoder.encode_all(train),
        dev=encoder.encode_all(dev),
        metric="accuracy",
    )


def load_tagger(folder: RunFolder) -> TrainedTagger:
    """The best checkpoint of a run, from its folder alone."""
    return TrainedTagger(*load_words(folder, TaggingConfig, init_params))
