"""Sentences of words, and what a model of words knows of its training data.

Word embeddings are looked up in lower case; case is left to the characters. Words are looked up in
the composed form of Unicode (NFC), so that a letter with its accent is the same as one character
and as two.
"""

import collections
import json
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from birnn_jax import text
from birnn_jax.text import graphemes
from experiments.runner.data.files import read_json


class Sentence(NamedTuple):
    """Words with their tags, the lines they were read from, and where in them the tags stand."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    lines: tuple[str, ...]
    places: tuple[tuple[int, int, int], ...] = ()  # line, first and last character, of each tag


UNKNOWN_WORD = 0
NO_CHARACTER = 0


class Vocabulary(NamedTuple):
    """Index of every known word, character and tag, and counts of words in training."""

    counts: dict[str, int]  # of lower-cased words; the index of a word is its position plus one
    characters: list[str]  # the index of a character is its position plus two
    tags: list[str]
    usual_tag: dict[str, str]  # of every word seen in training, in its own case
    default_tag: str

    @property
    def known_words(self) -> text.Vocabulary:
        """The words of the table of embeddings, the unknown word first."""
        return text.Vocabulary(tuple(self.counts), padding=False)

    @property
    def known_characters(self) -> text.Vocabulary:
        """The characters of the table of embeddings, behind none and unknown."""
        return text.Vocabulary(tuple(self.characters))

    @property
    def num_words(self) -> int:
        """Rows of the table of words, the unknown word included."""
        return len(self.known_words)

    @property
    def num_characters(self) -> int:
        """Rows of the table of characters, none and unknown included."""
        return len(self.known_characters)

    @property
    def longest_word(self) -> int:
        """Characters of the longest word of training, as a reader sees them."""
        return max(len(graphemes(word)) for word in self.usual_tag)

    def guess(self, word: str) -> str:
        """The baseline: the most frequent tag of the word, of all words where it is unknown."""
        return self._usual(word) or self.default_tag

    def knows(self, word: str) -> bool:
        """Whether training has the word, in its own case."""
        return self._usual(word) is not None

    def extending(self, known: "Vocabulary") -> "Vocabulary":
        """The vocabulary with all of one known before in front, in the order it has there."""
        return Vocabulary(
            counts=known.counts
            | {word: n + known.counts.get(word, 0) for word, n in self.counts.items()},
            characters=[*known.characters, *sorted({*self.characters} - {*known.characters})],
            tags=[*known.tags, *(tag for tag in self.tags if tag not in known.tags)],
            usual_tag=known.usual_tag | self.usual_tag,
            default_tag=self.default_tag,
        )

    def _usual(self, word: str) -> str | None:
        """Runs of before have words in the form of their file."""
        return self.usual_tag.get(word) or self.usual_tag.get(composed(word))

    def save(self, path: pathlib.Path) -> None:
        """Writes the vocabulary as JSON."""
        path.write_text(json.dumps(self._asdict(), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: pathlib.Path) -> "Vocabulary":
        """Reads what `save` wrote.

        Raises:
          ValueError: if the file is something else.
        """
        what = "the vocabulary of a tagger"
        try:
            fields = read_json(path, what)
            vocabulary = cls(**fields)
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist: the run has lost its vocabulary.") from None
        except TypeError:
            raise ValueError(f"{path} is not {what}.") from None
        kinds = (dict, list, list, dict, str)
        values = (vocabulary.counts, vocabulary.characters, vocabulary.tags, vocabulary.usual_tag)
        pairs = zip((*values, vocabulary.default_tag), kinds, strict=True)
        if not all(isinstance(value, kind) for value, kind in pairs):
            raise ValueError(f"{path} is not {what}.")
        return vocabulary


def build_vocabulary(sentences: Sequence[Sentence]) -> Vocabulary:
    """Counts the training sentences. Ties go to what came first."""
    counts: collections.Counter[str] = collections.Counter()
    tags: collections.Counter[str] = collections.Counter()
    tags_of: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for sentence in sentences:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            word = composed(word)
            counts[folded(word)] += 1
            tags[tag] += 1
            tags_of[word][tag] += 1
    return Vocabulary(
        counts=dict(counts),
        characters=sorted({character for word in tags_of for character in word}),
        tags=sorted(tags),
        usual_tag={word: seen.most_common(1)[0][0] for word, seen in tags_of.items()},
        default_tag=tags.most_common(1)[0][0],
    )


def composed(word: str) -> str:
    """A word in the composed form of Unicode (NFC).

    Example:
      >>> composed("e\u0301") == "\u00e9"
      True
    """
    return unicodedata.normalize("NFC", word)


def folded(word: str) -> str:
    """The form in which the embedding of a word is looked up."""
    return composed(word.lower())


class Encoder:
    """Turns sentences into arrays, one row a word."""

    def __init__(self, vocabulary: Vocabulary, word_width: int):
        """Words keep `word_width` characters; of a longer word, as many from either end."""
        self._width = word_width
        of_file = any(word != composed(word) for word in vocabulary.counts)  # in runs of before
        self._form = str if of_file else composed
        self._counts = vocabulary.counts
        self._words = vocabulary.known_words
        self._characters = vocabulary.known_characters
        self._tag = {tag: i for i, tag in enumerate(vocabulary.tags)}

    def indices(self) -> dict[str, Any]:
        """All that `encode_words` looks up, and the tags that the model answers with."""
        return {
            "words": _numbers(self._words),
            "characters": _numbers(self._characters),
            "tags": list(self._tag),
            "word_width": self._width,
        }

    def encode_all(self, sentences: Sequence[Sentence]) -> list[dict[str, np.ndarray]]:
        """Encodes sentences with their tags.

        Returns:
          labels: `[T]`, index of each tag, -1 for a tag that training does not have.
          and what `encode_words` returns.
        """
        return [
            {
                **self.encode_words(sentence.words),
                "labels": np.array([self._tag.get(tag, -1) for tag in sentence.tags], np.int32),
            }
            for sentence in sentences
        ]

    def encode_words(self, words: Sequence[str]) -> dict[str, np.ndarray]:
        """Encodes one sentence of T words.

        Returns:
          words: `[T]`, index of each word, 0 where unknown.
          counts: `[T]`, how often training has each word.
          characters: `[T, W]`, indices of the characters of each word, 0 after its end.
        """
        lowered = [self._form(word.lower()) for word in words]
        return {
            "words": self._words.encode(lowered),
            "counts": np.array([self._counts.get(w, 0) for w in lowered], np.float32),
            "characters": np.stack([self._spell(word) for word in words]),
        }

    def _spell(self, word: str) -> np.ndarray:
        word = self._form(word)
        if len(word) > self._width:
            half = self._width // 2
            word = word[: self._width - half] + word[len(word) - half :]
        spelled = np.full([self._width], NO_CHARACTER, np.int32)
        spelled[: len(word)] = self._characters.encode(word)
        return spelled


def _numbers(vocabulary: text.Vocabulary) -> dict[str, int]:
    return dict(zip(vocabulary.tokens, vocabulary.encode(vocabulary.tokens).tolist(), strict=True))


def split_words(lines: Iterable[str]) -> list[list[str]]:
    """Splits sentences at spaces."""
    sentences = [line.split() for line in lines]
    for number, words in enumerate(sentences, start=1):
        if not words:
            raise ValueError(f"Sentence {number} is empty: there is no word to tag.")
    if not sentences:
        raise ValueError("There is no sentence to tag.")
    return sentences
