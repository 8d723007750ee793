"""Text as numbers: one for each distinct character."""

import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.reading import Reading

_SHOWN = 20  # characters named in a sentence


class Vocabulary(NamedTuple):
    """Distinct characters, the token being the position.

    Those of a text in the order of Unicode, behind those that were known before it.
    """

    characters: str

    @property
    def digest(self) -> str:
        """Tells this vocabulary from another."""
        return hashlib.sha256(self.characters.encode()).hexdigest()[:16]

    def encode(self, text: str, what: str) -> np.ndarray:
        """Tokens `[N]` int32.

        Raises:
          ValueError: if the text has characters that are not in the vocabulary; names them.
        """
        place = {character: i for i, character in enumerate(self.characters)}
        strange = sorted(set(text) - place.keys())
        if strange:
            named = " ".join(map(repr, strange[:_SHOWN]))
            more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
            raise ValueError(f"{what} has characters that the model has never seen: {named}{more}.")
        return np.array([place[character] for character in text], np.int32)

    def decode(self, tokens: Sequence[int] | np.ndarray) -> str:
        """The text of tokens."""
        return "".join(self.characters[int(token)] for token in tokens)

    def save(self, path: pathlib.Path) -> None:
        """Writes the vocabulary as JSON."""
        path.write_text(json.dumps(self.characters, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: pathlib.Path, digest: str) -> "Vocabulary":
        """Reads what `save` wrote.

        Raises:
          ValueError: if it is not the vocabulary of this digest.
        """
        try:
            vocabulary = cls(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist: the run has lost its vocabulary.") from None
        except (ValueError, RecursionError):
            raise ValueError(f"{path} is not a vocabulary.") from None
        if not isinstance(vocabulary.characters, str) or vocabulary.digest != digest:
            raise ValueError(
                f"{path} is not the vocabulary that the model was trained with; put it back from "
                "the folder of that run."
            )
        return vocabulary


class Corpus(NamedTuple):
    """A text, and the part of it that is held out of training."""

    vocabulary: Vocabulary  # of both parts
    train: np.ndarray  # [N] int32
    held_out: np.ndarray  # [M] int32, the end of the text; M = 0 for none


def read_corpus(
    path: pathlib.Path,
    reading: Reading,
    *,
    characters: int | None,
    held_out: float,
    known: str = "",
) -> Corpus:
    """Reads the text, or its first `characters`; the last share `held_out` of it is held out.

    Characters that are `known` before the text come first in the vocabulary.

    Raises:
      ValueError: if there is no such file, it is no text in its encoding, or it is too short; says
        which.
    """
    text = read_text(path, reading)
    if characters is not None and characters > len(text):
        raise ValueError(f"{path} has {len(text):,} characters, fewer than {characters:,}.")
    text = text[:characters]
    vocabulary = Vocabulary(known + "".join(sorted({*text} - {*known})))
    tokens = vocabulary.encode(text, str(path))
    train, rest = np.split(tokens, [len(tokens) - int(held_out * len(tokens))])
    if held_out > 0 and len(rest) < 2:
        raise ValueError(
            f"Held out are {len(rest)} of the {len(tokens):,} characters of {path}; one to read "
            "and one to predict are the least. Hold out a larger share, or 0 for none."
        )
    return Corpus(vocabulary, train, rest)


def read_text(path: pathlib.Path, reading: Reading) -> str:
    """Reads a text with something to predict.

    Raises:
      ValueError: if there is no such file, it is no text in its encoding, or has fewer than two
        characters.
    """
    text = reading.text(path)
    if not text:
        raise ValueError(f"{path} is empty: there is no character to read.")
    if len(text) == 1:
        raise ValueError(f"{path} has 1 character; one to read and one to predict are the least.")
    return text
