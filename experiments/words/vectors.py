"""Vectors of words from a file of text: GloVe, word2vec or fastText, plain or gzipped.

A line is a word and its numbers, apart by blanks. Files of word2vec and fastText begin with a line
of two numbers, how many words and how many numbers each; files of GloVe do not.
"""

import itertools
import pathlib
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from experiments.runner.data.reading import Reading
from experiments.words.config import FileSettings
from experiments.words.data import Vocabulary, composed, folded


def with_vectors(
    settings: FileSettings, vocabulary: Vocabulary
) -> tuple[Vocabulary, dict[str, np.ndarray]]:
    """The vectors that the settings ask for, and the vocabulary with their words."""
    if settings.vectors is None:
        return vocabulary, {}
    reading = settings.reading_vectors()
    vectors = read_vectors(
        settings.vectors, reading, size=settings.word_size, limit=settings.max_vectors
    )
    reading.tell()
    return add_words(vocabulary, vectors), vectors


def read_vectors(
    path: pathlib.Path, reading: Reading, *, size: int, limit: int
) -> dict[str, np.ndarray]:
    """Reads the first `limit` vectors; files have the most frequent words first.

    A word is taken in lower case; of several with the same letters, the one that is in lower case.
    A word that stands there again is left out, and so is one that was cut within a character, as
    word2vec cuts long ones; both are reported.

    Args:
      path: the file, which is read no further than needed.
      reading: how to read, and where repairs are reported.
      size: numbers of a vector.
      limit: how many vectors, at most.

    Raises:
      ValueError: names the file, if its vectors are of another size, and the line, if there is
        something else in it.
    """
    vectors: dict[str, np.ndarray] = {}
    written: set[str] = set()
    for number, line in itertools.islice(_lines(path, reading), limit):
        if not vectors and line.count(" ") != size:
            raise ValueError(
                f"{path} has vectors of {line.count(' ')} numbers, not {size}: give their size to "
                "--word-size."
            )
        word, values = _parse(path, number, line, size)
        if _is_cut(word):
            reading.bridge(path, "a word cut within a character", "left out", number)
            continue
        reading.refuse_undecodable(path, number, word)
        word = composed(word)
        if word in written:
            reading.bridge(path, "a word that stands there twice", "the first is taken", number)
        elif word == word.lower() or folded(word) not in vectors:
            vectors[folded(word)] = values
        written.add(word)
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


def _lines(path: pathlib.Path, reading: Reading) -> Iterator[tuple[int, str]]:
    """The lines with a vector, and their numbers."""
    said, found = None, 0
    for number, line in enumerate(reading.stream(path), start=1):
        text = line.strip(" \r")
        if number == 1 and _is_head(text):
            said = int(text.split(" ")[0])
        elif "\0" in text:
            raise ValueError(f"{path} has bytes of 0: vectors in binary form cannot be read.")
        elif text:
            found += 1
            yield number, text
        else:
            reading.bridge(path, "an empty line", "left out", number)
    if said is not None and said != found:
        reading.remark(path, f"its first line says {said:,} vectors, but {found:,} follow")


def _is_cut(word: str) -> bool:
    """Whether the last character of a word in UTF-8 lacks bytes."""
    try:
        word.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return False


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
