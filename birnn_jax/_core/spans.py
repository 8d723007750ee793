"""Spans of labels in a row of tags such as B-PER, I-PER, O.

A span begins at a tag that does not continue the one before it. So spans are defined for tags that
break their scheme too, and they are those of the scorer of CoNLL-2000 (conlleval).
"""

import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple

Scheme = Literal["BIO", "IOB1", "IO", "BIOES", "BILOU", "BIOUL", "BMES"]
"""How tags write spans."""

OUTSIDE = "O"
_OPEN, _INNER = "BIM", "IMEL"  # letters behind which a span may go on, and letters that go on


class Span(NamedTuple):
    """Steps `start` up to, not including, `end`, and their label.

    Example:
      >>> from birnn_jax.text import Span, spans_of_tags
      >>> spans_of_tags(["O", "B-LOC", "I-LOC"]) == [Span(start=1, end=3, label="LOC")]
      True
    """

    start: int
    end: int
    label: str


def split_tag(tag: str) -> tuple[str, str]:
    """Splits a tag into its letter and its label.

    Args:
      tag: such as "B-PER", or "B" where there is one label only.

    Example:
      >>> from birnn_jax.text import split_tag
      >>> split_tag("B-creative-work"), split_tag("O")
      (('B', 'creative-work'), ('O', ''))
    """
    letter, _, label = tag.partition("-")
    return letter, label


def continues(before: str, tag: str) -> bool:
    """Whether `tag` continues the span of the tag `before` it.

    Example:
      >>> from birnn_jax._core.spans import continues
      >>> continues("B-PER", "I-PER"), continues("O", "I-PER"), continues("S-PER", "E-PER")
      (True, False, False)
    """
    (letter_before, label_before), (letter, label) = split_tag(before), split_tag(tag)
    return letter in _INNER and letter_before in _OPEN and label == label_before


def spans_of_tags(tags: Sequence[str]) -> list[Span]:
    """Finds the spans of a row of tags of any scheme, in their order.

    Args:
      tags: of one sequence. Tags that break their scheme are read as conlleval reads them: an I-x
        that continues nothing begins a span.

    Example:
      >>> from birnn_jax.text import spans_of_tags
      >>> spans_of_tags(["B-PER", "E-PER", "O", "I-LOC", "B-LOC"])
      [Span(start=0, end=2, label='PER'), Span(start=3, end=4, label='LOC'), Span(start=4, ...)]
    """
    spans: list[Span] = []
    for i, (before, tag) in enumerate(itertools.pairwise([OUTSIDE, *tags])):
        if continues(before, tag):
            spans[-1] = spans[-1]._replace(end=i + 1)
        elif tag != OUTSIDE:
            spans.append(Span(i, i + 1, split_tag(tag)[1]))
    return spans
