"""Vectors of words: read as they are found, told, refused, and where training starts from."""

import gzip

import jax
import numpy as np
import pytest

from experiments.ner.config import EntityConfig
from experiments.ner.model import init_params
from experiments.runner.data.reading import Reading
from experiments.words.vectors import add_words, read_folded
from tests.experiments._small_entities import TINY, tagging


@pytest.mark.parametrize(
    "text",
    [
        "2 3\nzebra 1 2 3\na 4 5 6\n",
        "zebra 1 2 3\na 4 5 6 \n",
        "Zebra 7 7 7\nzebra 1 2 3\nZEBRA 8 8 8\nA 4 5 6",
    ],
    ids=["word2vec", "GloVe", "case"],
)
def test_training_starts_from_the_vectors_of_a_file(tmp_path, text):
    _, vocabulary = tagging(tmp_path)
    path = tmp_path / "vectors.txt.gz"
    path.write_bytes(gzip.compress(text.encode()))
    vectors = read_folded(path, Reading(), size=3, limit=9)
    assert read_folded(path, Reading(), size=3, limit=1).keys() == {"zebra"}
    larger = add_words(vocabulary, vectors)
    config = EntityConfig(**TINY)
    words = init_params(config, larger, jax.random.key(0), vectors).words.words
    known = config.encoder(larger).encode_words(["Zebra", "a", "c"])["words"]
    np.testing.assert_array_equal(words[known[:2]], [[1, 2, 3], [4, 5, 6]])
    assert 0 < abs(words[known[2]]).max() < 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"3 4\n", "is empty"),
        (b"a 1 2\n", "has vectors of 2 numbers, not 3: give their size to --word-size"),
        (b"a 1 2 3\nb 1 2\n", "line 2: a word and 3 finite numbers were expected, got 'b 1 2'"),
        (b"a 1 2 3\nb 1 2 1e93\n", "line 2: a word and 3 finite numbers were expected"),
        (b"a 1 2 3\nb 1 x 3\n", "line 2: a word and 3 finite numbers"),
        (
            b"a 1 2 3\nna\xefve 1 2 3\n",
            "vectors.txt, line 2: not UTF-8 .*--vectors-encoding latin-1",
        ),
        (b"1 3\nab \0\0\x80?\0", "has bytes of 0: vectors in binary form"),
        (b"\xff\xfea", "line 1: not UTF-16"),
    ],
)
def test_vectors_that_cannot_be_read_are_refused(tmp_path, content, sentence):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        read_folded(path, Reading(option="--vectors-encoding"), size=3, limit=9)


@pytest.mark.parametrize(
    ("content", "encoding", "told"),
    [
        ("5 1\né 1\nb 2\n", "latin-1", ["its first line says 5 vectors, but 2 follow."]),
        ("2 1\né 1\nb 2\n", "utf-16", ["read as UTF-16, which its byte order mark says."]),
        ("é 1\nb 2\n", "utf-8-sig", []),
        ("é 1\n\nb 2\n", "utf-8", ["line 2: an empty line; left out."]),
        ("e\u0301 1\nb 2\né 3\nb 4\nÉ 5", "utf-8", ["twice, 2 times (lines 3, 4); the first"]),
        (
            "2 1\né 1\nc\udce9 7\nb 2\nd\udce4\udcbd 7\n",
            "utf-8",
            ["a word cut within a character, 2 times (lines 3, 5)", "says 2 vectors, but 4 follow"],
        ),
    ],
    ids=["header", "UTF-16", "mark", "blank", "twice", "cut"],
)
def test_vectors_are_read_as_they_are_found_and_that_is_told(tmp_path, content, encoding, told):
    path, reading = tmp_path / "vectors.txt", Reading(encoding)
    path.write_bytes(content.encode(encoding, "surrogateescape"))
    vectors = read_folded(path, reading, size=1, limit=9)
    assert {word: float(value[0]) for word, value in vectors.items()} == {"é": 1, "b": 2}
    assert len(reading.sentences()) == len(told)
    for sentence in told:
        assert any(sentence in said for said in reading.sentences())
    if any(";" in sentence or "cut" in sentence for sentence in told):
        with pytest.raises(ValueError, match="--strict refuses"):
            read_folded(path, Reading(encoding, strict=True), size=1, limit=9)
