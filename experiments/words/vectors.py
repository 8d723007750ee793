"""Vectors of words from a file of text: GloVe, word2vec or fastText, plain or gzipped.

A line is a word and its numbers, apart by blanks. Files of word2vec and fastText begin with a line
of two numbers, how many words and how many numbers each; files of GloVe do not.
"""

import gzip
import itertools
import pathlib
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from experiments.runner.data.files import readable
from experiments.words.config import FileSettings
from experiments.words.data import Vocabulary


def with_vectors(
    settings: FileSettings, vocabulary: Vocabulary
) -> tuple[Vocabulary, dict[str, np.ndarray]]:
    """The vectors that the settings ask for, and the vocabulary with their words."""
    if settings.vectors is None:
        return vocabulary, {}
    vectors = read_vectors(settings.vectors, size=settings.word_size, limit=settings.max_vectors)
    return add_words(vocabulary, vectors), vectors


def read_vectors(path: pathlib.Path, *, size: int, limit: int) -> dict[str, np.ndarray]:
    """Reads the first `limit` vectors; files have the most frequent words first.

    A word is taken in lower case; of several with the same letters, the one that is in lower case.

    Args:
      path: the file, which is read no further than needed.
      size: numbers of a vector.
      limit: how many vectors, at most.

    Raises:
      ValueError: names the file, if its vectors are of another size, and the line, if there is
        something else in it.
    """
    vectors: dict[str, np.ndarray] = {}
    for number, line in itertools.islice(_lines(path), limit):
        if not vectors and line.count(" ") != size:
            raise ValueError(
                f"{path} has vectors of {line.count(' ')} numbers, not {size}: give their size to "
                "--word-size."
            )
        word, values = _parse(path, number, line, size)
        if word == word.lower() or word.lower() not in vectors:
            vectors[word.lower()] = values
    if not vectors:
        raise ValueError(f"{path} is empty: there is no vector in it.")
    return vectors


def add_words(vocabulary: Vocabulary, vectors: dict[str, np.ndarray]) -> Vocabulary:
    """The vocabulary with the words of the vectors, which training may not have."""
    return vocabulary._replace(counts={**vocabulary.counts, **_unseen(vocabulary, vectors)})


def put_vectors(
    table: jax.Array, vocabulary: Vocabulary, vectors: Mapping[str, np.ndarray]
) -> jax.Array:
    """The table `[V, E]` of words with the rows of known vectors replaced."""
    rows = [row for row, word in enumerate(vocabulary.counts, start=1) if word in vectors]
    known = [vectors[word] for word in vocabulary.counts if word in vectors]
    return table.at[np.array(rows)].set(np.stack(known)) if rows else table


def _unseen(vocabulary: Vocabulary, vectors: dict[str, np.ndarray]) -> dict[str, int]:
    return {word: 0 for word in vectors if word not in vocabulary.counts}


def _lines(path: pathlib.Path) -> Iterator[tuple[int, str]]:
    """The lines with a vector, and their numbers."""
    try:
        with readable(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = line.decode("utf-8").strip(" \r\n")
                if number > 1 or not _is_head(text):
                    yield number, text
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8; binary vectors cannot be read.") from None


def _is_head(line: str) -> bool:
    parts = line.split(" ")
    return len(parts) == 2 and all(map(str.isdecimal, parts))


def _parse(path: pathlib.Path, number: int, line: str, size: int) -> tuple[str, np.ndarray]:
    word, *values = line.rsplit(" ", size)  # a few words of GloVe have blanks in them
    try:
        with np.errstate(over="ignore"):
            vector = np.array(values, np.float32)
    except ValueError:
        vector = np.empty(0, np.float32)
    if len(vector) != size or not np.isfinite(vector).all() or not word:
        raise ValueError(
            f"{path}, line {number}: a word and {size} finite numbers were expected, got "
            f"{line[:40]!r}."
        )
    return word, vector
