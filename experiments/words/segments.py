"""Texts cut into words, in every script and every normalisation form of Unicode.

Words of scripts with blanks are runs of letters with their marks; "n't" and "'s" stand apart as in
the Penn Treebank, and a run of one mark is a word. Scripts without blanks are cut by the
dictionaries of ICU, or into characters as a reader sees them, grapheme clusters.

References:
  Davis, Unicode Text Segmentation, Unicode Standard Annex 29.
"""

import unicodedata
from typing import Literal

import regex
from icu4py.breakers import WordBreaker

from birnn_jax.text import graphemes

Segmentation = Literal["words", "characters"]
_DENSE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30fc"
_QUOTE = r"['\u2019]"
_WORD = regex.compile(
    rf"(?V1)(?P<dense>[[{_DENSE}]&&[\w]]+)|\w+(?=n{_QUOTE}t\b)|n{_QUOTE}t\b"
    rf"|{_QUOTE}(?:s|m|d|re|ve|ll)\b|[[\w]--[{_DENSE}]]+|(?=[^\w\s])(\X)\2*"
)


def split_text(text: str, segmentation: Segmentation = "words") -> tuple[str, ...]:
    """The words of a text, in the composed form of Unicode (NFC).

    Args:
      text: the text.
      segmentation: whether scripts without blanks are cut into words or into characters.

    Example:
      >>> split_text("It doesn't work!!! हिन्दी")
      ('It', 'does', "n't", 'work', '!!!', 'हिन्दी')
      >>> split_text("我爱北京"), split_text("我爱北京", "characters")
      (('我', '爱', '北京'), ('我', '爱', '北', '京'))
    """
    composed = unicodedata.normalize("NFC", text)
    words: list[str] = []
    for match in _WORD.finditer(composed):
        if match["dense"] is None:
            words.append(match[0])
        elif segmentation == "words":
            words += segments(match[0])
        else:
            words += graphemes(match[0])
    return tuple(words)


def segments(text: str) -> list[str]:
    """A text of a script without blanks as words, by the dictionaries of ICU."""
    return [text[start:end] for start, end in WordBreaker(text, "en").segments()]
