"""Training a tagger of entities, and the trained one from its run folder."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.ner.config import EntityConfig
from experiments.ner.model import EntityParams, EntityTagger, decode, entity_totals, init_entities
from experiments.runner.data.parts import Part
from experiments.runner.run import loop
from experiments.runner.run.best import best_params
from experiments.runner.run.folder import RunFolder
from experiments.words.data import Sentence, Vocabulary
from experiments.words.training import label_rows, make_word_training
from experiments.words.vectors import put_vectors


def init_params(
    config: EntityConfig,
    vocabulary: Vocabulary,
    vectors: dict[str, np.ndarray],
    key: jax.Array,
) -> EntityParams:
    """The parameters before training, words with a vector starting from it; consumes `key`."""
    params = init_entities(config.model(vocabulary), key, **config.sizes(vocabulary))
    table = put_vectors(params.words.words, vocabulary, vectors)
    return params._replace(words=params.words._replace(words=table))


class TrainedEntityTagger(NamedTuple):
    """Finds entities with a trained model."""

    config: EntityConfig
    params: Any
    vocabulary: Vocabulary

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of each word of each sentence; a sentence has at least one word."""
        encoder = self.config.encoder(self.vocabulary)
        labels = label_rows(
            functools.partial(_decode, self.config.model(self.vocabulary), self.params),
            [encoder.encode_words(words) for words in sentences],
            self.config.tokens_per_batch,
        )
        return [[self.vocabulary.tags[k] for k in row] for row in labels]


@jax.jit(static_argnames="model")
def _decode(model: EntityTagger, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return decode(model, params, batch)


VOCABULARY = "vocabulary.json"


def make_training(
    config: EntityConfig,
    vocabulary: Vocabulary,
    parts: dict[Part, list[Sentence]],
    vectors: dict[str, Any],
) -> loop.Training:
    """Says to the runner what to train."""
    encode = config.encoder(vocabulary).encode_all
    return make_word_training(
        config,
        loss_fn=functools.partial(entity_totals, config.model(vocabulary)),
        init_params=functools.partial(init_params, config, vocabulary, vectors),
        train=encode(parts["train"]),
        dev=encode(parts["dev"]),
        metric="f1",
    )


def load_tagger(folder: RunFolder) -> TrainedEntityTagger:
    """The best checkpoint of a run, from its folder alone."""
    config = EntityConfig(**folder.settings)
    vocabulary = Vocabulary.load(folder.path / VOCABULARY)
    params = best_params(folder, config, functools.partial(init_params, config, vocabulary, {}))
    return TrainedEntityTagger(config, params, vocabulary)
