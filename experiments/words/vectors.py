"""Vectors of words to start from, of a file of GloVe, word2vec or fastText."""

import pathlib
from collections.abc import Mapping

import jax
import numpy as np

from birnn_jax.text import embedding_table, read_vectors
from experiments.runner.data.reading import Reading
from experiments.words.config import FileSettings
from experiments.words.data import Vocabulary, folded


def with_vectors(
    settings: FileSettings, vocabulary: Vocabulary
) -> tuple[Vocabulary, dict[str, np.ndarray]]:
    """The vectors that the settings ask for, and the vocabulary with their words."""
    if settings.vectors is None:
        return vocabulary, {}
    reading = settings.reading_vectors()
    vectors = read_folded(
        settings.vectors, reading, size=settings.word_size, limit=settings.max_vectors
    )
    reading.tell()
    return add_words(vocabulary, vectors), vectors


def read_folded(
    path: pathlib.Path, reading: Reading, *, size: int, limit: int
) -> dict[str, np.ndarray]:
    """The first `limit` vectors of a file, by the form in which embeddings of words are looked up.

    Raises:
      ValueError: names the file, if its vectors are not of `size` numbers or cannot be read.
    """
    vectors = read_vectors(path, limit=limit, form=folded, reading=reading)
    found = len(next(iter(vectors.values())))
    if found != size:
        raise ValueError(
            f"{path} has vectors of {found} numbers, not {size}: give their size to --word-size."
        )
    return vectors


def add_words(vocabulary: Vocabulary, vectors: dict[str, np.ndarray]) -> Vocabulary:
    """The vocabulary with the words of the vectors, which training may not have."""
    return vocabulary._replace(counts={**vocabulary.counts, **_unseen(vocabulary, vectors)})


def put_vectors(
    table: jax.Array, vocabulary: Vocabulary, vectors: Mapping[str, np.ndarray]
) -> jax.Array:
    """The table `[V, E]` of words with the rows of known vectors replaced."""
    return embedding_table(vocabulary.known_words, vectors, table)


def _unseen(vocabulary: Vocabulary, vectors: dict[str, np.ndarray]) -> dict[str, int]:
    return {word: 0 for word in vectors if word not in vocabulary.counts}
