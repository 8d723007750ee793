"""Tokens and their numbers."""

import collections
import dataclasses
import functools
import json
import os
import pathlib
import warnings
from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from jax.typing import ArrayLike

from .._core.checks import as_size
from .._core.describe import describe

_PADDING, _UNKNOWN = "<pad>", "<unk>"  # how they are shown
_KIND = "birnn_jax.text.Vocabulary"


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Tokens and their numbers: of words, characters, tags or classes.

    Number 0 is padding, the next one the unknown token, and then come the tokens in their order.
    Neither of the two has a spelling, so that every token of a text stands for itself.

    Args:
      tokens: without repetitions.
      padding: whether there is a number for padding; it is 0, which the arrays of
        `birnn_jax.data` are padded with.
      unknown: whether there is a number for all other tokens; without one they are refused.

    Raises:
      ValueError: if a token stands there twice.
      TypeError: if a token is no string.

    Example:
      >>> from birnn_jax.text import Vocabulary
      >>> words = Vocabulary(("the", "cat"))
      >>> words.encode(["the", "dog"]).tolist(), words.decode([3, 1, 0]), len(words)
      ([2, 1], ['cat', '<unk>', '<pad>'], 4)
      >>> tags = Vocabulary(("B", "I", "O"), padding=False, unknown=False)
      >>> tags.index("O"), "X" in tags
      (2, False)
    """

    tokens: tuple[str, ...]
    padding: bool = True
    unknown: bool = True

    def __post_init__(self) -> None:
        """Refuses what is no vocabulary."""
        if isinstance(self.tokens, str):
            raise TypeError("tokens must be several strings, got one; tuple(text) cuts it.")
        object.__setattr__(self, "tokens", tuple(self.tokens))
        for token in self.tokens:
            if not isinstance(token, str):
                raise TypeError(f"tokens must be strings, got {describe(token)} among them.")
        if len(self._indices) < len(self.tokens):
            counts = collections.Counter(self.tokens)
            raise ValueError(f"The token {counts.most_common(1)[0][0]!r} stands there twice.")

    def __len__(self) -> int:
        return self._first + len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._indices

    @property
    def padding_index(self) -> int | None:
        """The number of padding, 0; None without one."""
        return 0 if self.padding else None

    @property
    def unknown_index(self) -> int | None:
        """The number of unknown tokens; None without one."""
        return int(self.padding) if self.unknown else None

    def index(self, token: str) -> int:
        """The number of a token, that of the unknown one if there is none.

        Raises:
          ValueError: if the token is unknown and there is no number for that.
        """
        return int(self.encode([token])[0])

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """The numbers `[T]` of tokens, int32. A string is a sequence of characters.

        Raises:
          ValueError: names the unknown tokens, if there is no number for them.
        """
        tokens = list(tokens)
        unknown = self.unknown_index
        numbers = [self._indices.get(token, unknown) for token in tokens]
        if unknown is None and None in numbers:
            strange = sorted({str(token) for token in tokens if token not in self._indices})
            more = f" and {len(strange) - 9} more" if len(strange) > 9 else ""
            raise ValueError(
                f"The vocabulary does not have {', '.join(map(repr, strange[:9]))}{more}, and it "
                "has no unknown token; with unknown=True it would."
            )
        return np.array(numbers, np.int32)

    def decode(self, numbers: ArrayLike) -> list[str]:
        """The tokens of numbers `[T]`; those without a spelling as "<pad>" and "<unk>".

        Raises:
          ValueError: if a number is not from 0 to `len(self) - 1`.
        """
        shown = [_PADDING] * self.padding + [_UNKNOWN] * self.unknown
        found = []
        for number in np.asarray(numbers).ravel().tolist():
            if not 0 <= number < len(self):
                raise ValueError(
                    f"The numbers of this vocabulary are 0 to {len(self) - 1}, got {number}. Cut "
                    "padding off, for example ids[:length]."
                )
            known = number >= self._first
            found.append(self.tokens[number - self._first] if known else shown[number])
        return found

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the vocabulary as JSON."""
        content = {"kind": _KIND, **dataclasses.asdict(self)}
        pathlib.Path(path).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads what `save` wrote.

        Raises:
          ValueError: if the file is something else.
          OSError: if it cannot be read.
        """
        try:
            content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            content = None
        fields = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(content, dict) or content.keys() != {"kind", *fields}:
            raise ValueError(f"{path} is not a vocabulary that Vocabulary.save wrote.")
        try:
            return cls(**{name: _checked(name, content[name]) for name in fields})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a vocabulary: {error}") from None

    @property
    def _first(self) -> int:
        """The number of the first token."""
        return self.padding + self.unknown

    @functools.cached_property
    def _indices(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens, start=self._first)}


def build_vocabulary(
    sequences: Iterable[Iterable[str]],
    *,
    min_count: int = 1,
    max_size: int | None = None,
    padding: bool = True,
    unknown: bool = True,
) -> Vocabulary:
    """Makes a vocabulary of the tokens in sequences, the most frequent first.

    Tokens that are equally frequent are in the order of Unicode, so that the order of the sequences
    does not matter.

    Args:
      sequences: of tokens: `[words]` of one list of words, `map(list, texts)` of the characters of
        strings, `map(graphemes, texts)` of characters with their marks.
      min_count: how often a token must occur.
      max_size: how many tokens, at most, besides padding and the unknown token.
      padding: as in `Vocabulary`.
      unknown: as in `Vocabulary`.

    Returns:
      The vocabulary.

    Example:
      >>> from birnn_jax.text import build_vocabulary
      >>> build_vocabulary([["a", "rose", "is", "a", "rose"], ["a", "name"]], min_count=2)
      Vocabulary(tokens=('a', 'rose'), padding=True, unknown=True)
      >>> build_vocabulary(map(list, ["rose", "is"]), padding=False, max_size=2).tokens
      ('s', 'e')
    """
    min_count = as_size("min_count", min_count)
    if isinstance(sequences, str):
        raise TypeError("sequences must be several sequences of tokens, got one string.")
    counts: collections.Counter[str] = collections.Counter()
    several = ""  # a string whose characters were counted
    for sequence in sequences:
        counts.update(sequence)
        if isinstance(sequence, str) and len(sequence) > 1:
            several = several or sequence
    if several:
        warnings.warn(
            f"sequences has the string {several[:20]!r}, whose characters become tokens. For a "
            "vocabulary of words give [words], a list of lists; for one of characters "
            "map(list, texts). The next release refuses strings.",
            DeprecationWarning,
            stacklevel=2,
        )
    known = [token for token, count in counts.items() if count >= min_count]
    known.sort(key=lambda token: (-counts[token], token))
    limit = None if max_size is None else as_size("max_size", max_size)
    return Vocabulary(tuple(known[:limit]), padding, unknown)


def _checked(name: str, value: Any) -> Any:
    if not isinstance(value, list if name == "tokens" else bool):
        raise TypeError(f"{name} is {describe(value)}.")
    return value
