"""Training a part-of-speech tagger, and the trained one from its run folder."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from experiments.pos_tagging.config import TaggingConfig
from experiments.pos_tagging.model import make_loss
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.words.data import Encoder, Sentence, Vocabulary
from experiments.words.model import WordTagger, init_word_tagger, score
from experiments.words.training import label_rows, make_word_training


def init_params(config: TaggingConfig, vocabulary: Vocabulary, key: jax.Array) -> Any:
    """The parameters before training; consumes `key`."""
    return init_word_tagger(
        config.tagger, key, num_tags=len(vocabulary.tags), **config.sizes(vocabulary)
    )


class TrainedTagger(NamedTuple):
    """Tags sentences with a trained model."""

    model: WordTagger
    params: Any
    vocabulary: Vocabulary
    word_width: int
    tokens_per_batch: int

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each word of each sentence; a sentence has at least one word."""
        encoder = Encoder(self.vocabulary, self.word_width)
        best = functools.partial(_best_tags, self.model, self.params)
        labels = label_rows(
            best, [encoder.encode_words(words) for words in sentences], self.tokens_per_batch
        )
        return [[self.vocabulary.tags[k] for k in row] for row in labels]


@jax.jit(static_argnames="model")
def _best_tags(model: WordTagger, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return score(model, params, batch, key=None).argmax(axis=-1)


VOCABULARY = "vocabulary.json"


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
    config = TaggingConfig(**folder.settings)
    vocabulary = Vocabulary.load(folder.path / VOCABULARY)
    params = best_params(folder, config, functools.partial(init_params, config, vocabulary))
    return TrainedTagger(
        config.tagger, params, vocabulary, config.word_width, config.tokens_per_batch
    )
