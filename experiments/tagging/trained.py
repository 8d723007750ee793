"""A tagger that is ready to use: parameters and vocabulary."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.runner.batches import Batches, Example
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
        best = functools.partial(_best_tags, self.model, self.params)
        labels = label_rows(
            best, [encoder.encode_words(words) for words in sentences], self.tokens_per_batch
        )
        return [[self.vocabulary.tags[k] for k in row] for row in labels]


def label_rows(
    decode: Callable[[Any], Any], examples: Sequence[Example], tokens_per_batch: int
) -> list[np.ndarray]:
    """What `decode`, from a batch to arrays `[B, T]`, says of each example, without its padding."""
    batches = Batches(examples, buckets=_BUCKETS, tokens_per_batch=tokens_per_batch)
    labels: dict[int, np.ndarray] = {}
    for i in range(len(batches)):
        batch = batches[i]
        decoded = np.asarray(decode(jax.device_put(batch)))
        for row, length, values in zip(batch["rows"], batch["lengths"], decoded, strict=True):
            labels[int(row)] = values[:length]
    return [labels[row] for row in range(len(examples))]


def split_words(lines: Iterable[str]) -> list[list[str]]:
    """Splits sentences at spaces."""
    sentences = [line.split() for line in lines]
    for number, words in enumerate(sentences, start=1):
        if not words:
            raise ValueError(f"Sentence {number} is empty: there is no word to tag.")
    if not sentences:
        raise ValueError("There is no sentence to tag.")
    return sentences


@jax.jit(static_argnames="model")
def _best_tags(model: WordTagger, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return score(model, params, batch, key=None).argmax(axis=-1)
