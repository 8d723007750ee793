"""Vectors of words from a file of text: GloVe, word2vec or fastText, plain or gzipped.

A line is a word and its numbers, apart by blanks. Files of word2vec and fastText begin with a line
of two numbers, how many words and how many numbers each; files of GloVe do not.
"""

import itertools
import os
import pathlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ._reading import Reading, warned_of
from ._vocabulary import Vocabulary


def read_vectors(
    path: str | os.PathLike[str],
    *,
    size: int | None = None,
    limit: int | None = None,
    form: Callable[[str], str] | None = None,
    reading: Reading | None = None,
) -> dict[str, np.ndarray]:
    """Reads vectors of words from a text file of GloVe, word2vec or fastText (.vec), plain or .gz.

    Files have the most frequent words first. Words are given in the composed form of Unicode (NFC).
    A word that stands there again is left out, and so is one that was cut within a character, as
    word2vec cuts long ones; both are noted.

    Args:
      path: the file, which is read no further than needed.
      size: numbers of a vector; None is as many as the first line has.
      limit: how many lines are read, at most; None is all.
      form: what words are looked up by, such as `str.lower`. Of several words with one form, that
        is taken which is written in it, or else the first.
      reading: how to read, and where repairs are noted; None reads UTF-8 and warns of repairs.

    Returns:
      From each word to its vector, `[E]` float32.

    Raises:
      ValueError: names the file, if its vectors are of another size, and the line, if there is
        something else in it.

    Example:
      >>> import pathlib, tempfile
      >>> from birnn_jax.text import read_vectors
      >>> path = pathlib.Path(tempfile.mkdtemp(), "a.vec")
      >>> _ = path.write_text("2 3\\nThe 1 0 2\\ncat 0.5 1 -1\\n")
      >>> {word: vector.tolist() for word, vector in read_vectors(path, form=str.lower).items()}
      {'the': [1.0, 0.0, 2.0], 'cat': [0.5, 1.0, -1.0]}

    References:
      Pennington et al., GloVe: Global Vectors for Word Representation, 2014.
    """
    with warned_of(reading) as used:
        return _read(pathlib.Path(path), used, size, limit, form or _as_written)


def embedding_table(
    vocabulary: Vocabulary, vectors: Mapping[str, np.ndarray], table: jax.Array
) -> jax.Array:
    """Puts the vectors of known words into the table of an embedding; other rows stay.

    Args:
      vocabulary: says which row is of which word.
      vectors: from words to vectors `[E]`, of `read_vectors`.
      table: `[V, E]`, as it is initialised.

    Returns:
      The table, in its dtype.

    Raises:
      ValueError: if the table has too few rows, or vectors of another size.

    Example:
      >>> from birnn_jax.text import Vocabulary, embedding_table
      >>> vocabulary = Vocabulary(("cat", "dog"))
      >>> embedding_table(vocabulary, {"dog": np.array([1.0, 2.0])}, jnp.zeros([4, 2])).tolist()
      [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 2.0]]
    """
    known = [token for token in vocabulary.tokens if token in vectors]
    if len(table) < len(vocabulary):
        raise ValueError(
            f"table has {len(table)} rows, too few for a vocabulary of {len(vocabulary)}."
        )
    if not known:
        return table
    rows, found = vocabulary.encode(known), np.stack([vectors[token] for token in known])
    if found.shape[1] != table.shape[1]:
        raise ValueError(
            f"The vectors have {found.shape[1]} numbers, but the table is for {table.shape[1]}: "
            "make it as wide as they are."
        )
    return table.at[rows].set(jnp.asarray(found, table.dtype))


def _read(
    path: pathlib.Path,
    reading: Reading,
    size: int | None,
    limit: int | None,
    form: Callable[[str], str],
) -> dict[str, np.ndarray]:
    vectors: dict[str, np.ndarray] = {}
    written: set[str] = set()
    for number, line in itertools.islice(_lines(path, reading), limit):
        if not vectors:
            found = line.count(" ")
            if size is not None and found != size:
                raise ValueError(f"{path} has vectors of {found} numbers, not {size}.")
            size = found
        word, values = _parse(path, number, line, size or 0)
        if _is_cut(word):
            reading.repaired(path, "a word cut within a character", "left out", number)
            continue
        reading.refuse_undecodable(path, number, word)
        word = unicodedata.normalize("NFC", word)
        if word in written:
            reading.repaired(path, "a word that stands there twice", "the first is taken", number)
        elif word == form(word) or form(word) not in vectors:
            vectors[form(word)] = values
        written.add(word)
    if not vectors:
        raise ValueError(f"{path} is empty: there is no vector in it.")
    return vectors


def _as_written(word: str) -> str:
    return word


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
            reading.repaired(path, "an empty line", "left out", number)
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
    if len(vector) != size or not np.isfinite(vector).all() or not word or not size:
        raise ValueError(
            f"{path}, line {number}: a word and {size or 'some'} finite numbers were expected, got "
            f"{line[:40]!r}."
        )
    return word, vector
