"""BLEU of the sentences of each length."""

from collections.abc import Sequence
from typing import NamedTuple

from birnn_jax.metrics import score_translations
from birnn_jax.text import graphemes
from experiments.runner.data.measures import require_some
from experiments.translation.data import Pair

_FEWEST = 30  # sentences in a class of lengths, below which its BLEU says little


class OfLength(NamedTuple):
    """The score of the sentences of some lengths."""

    length: float  # mean number of words, or of characters where there are no spaces
    bleu: float
    sentences: int


def length_of(sentence: str) -> int:
    """Words of a sentence, or characters as a reader sees them where it has no spaces.

    Example:
      >>> length_of("I quit ."), length_of("我不干了。"), length_of("がんば\u3099れ")
      (3, 5, 4)
    """
    words = sentence.split()
    return len(words) if len(words) > 1 else len(graphemes(sentence.strip()))


def by_length(
    translations: Sequence[str], pairs: Sequence[Pair], tokens: str, classes: int
) -> list[OfLength]:
    """BLEU of the shortest sources to the longest, in classes of about as many sentences.

    Sentences of one length are in one class; a class has 30 sentences or more.

    Raises:
      ValueError: if there is no sentence.
    """
    require_some(pairs, "sentences")
    lengths = [length_of(pair.source) for pair in pairs]
    least = max(len(pairs) // classes, _FEWEST)
    groups: list[list[int]] = [[]]
    for length in sorted(set(lengths)):
        if len(groups[-1]) >= least:
            groups.append([])
        groups[-1] += [row for row, number in enumerate(lengths) if number == length]
    if len(groups) > 1 and len(groups[-1]) < _FEWEST:
        last = groups.pop()
        groups[-1] += last
    return [
        OfLength(
            sum(lengths[row] for row in rows) / len(rows),
            score_translations(
                [translations[row] for row in rows],
                [pairs[row].target for row in rows],
                tokenize=tokens,
            ).bleu,
            len(rows),
        )
        for rows in groups
    ]
