"""A tagger that is ready to use: parameters and vocabulary."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.runner.batches import Batches
from experiments.tagging.model import WordTagger, score
from experiments.tagging.vocabulary import Encoder, Vocabulary

_BUCKETS = (8, 16, 32, 64, 128)


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
        batches = Batches(
            [encoder.encode_words(words) for words in sentences],
            buckets=_BUCKETS,
            tokens_per_batch=self.tokens_per_batch,
        )
        tags: dict[int, list[str]] = {}
        for i in range(len(batches)):
            batch = batches[i]
            best = np.asarray(_best_tags(self.model, self.params, jax.device_put(batch)))
            for row, indices in zip(batch["rows"], best, strict=True):
                tags[int(row)] = [self.vocabulary.tags[k] for k in indices]
        return [tags[row][: len(words)] for row, words in enumerate(sentences)]


@jax.jit(static_argnames="model")
def _best_tags(model: WordTagger, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return score(model, params, batch, key=None).argmax(axis=-1)
