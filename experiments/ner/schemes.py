"""Spans of entities from tags, in any scheme, and what a scheme does not allow.

A span begins at a tag that does not continue the one before it, so that spans are defined for tags
that break the scheme too, as in the scorer of CoNLL-2000 (conlleval): an I-x after O begins one.
"""

import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

from birnn_jax.heads import tag_constraints

Scheme = Literal["BIO", "IOB1", "BIOES", "BMES"]
OUTSIDE = "O"
_OPEN, _INNER = "BIM", "IME"


class Span(NamedTuple):
    """An entity: words `start` up to, not including, `end`."""

    start: int
    end: int
    entity: str


def continues(before: str, tag: str) -> bool:
    """Whether `tag` goes on with the span of the tag `before` it.

    Example:
      >>> continues("B-PER", "I-PER"), continues("O", "I-PER"), continues("S-PER", "E-PER")
      (True, False, False)
    """
    (position_before, entity_before), (position, entity) = split_tag(before), split_tag(tag)
    return position in _INNER and position_before in _OPEN and entity == entity_before


def split_tag(tag: str) -> tuple[str, str]:
    """Position and entity.

    Example:
      >>> split_tag("B-creative-work"), split_tag("O")
      (('B', 'creative-work'), ('O', ''))
    """
    position, _, entity = tag.partition("-")
    return position, entity


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The entities of a sentence, in their order.

    Example:
      >>> spans_of(["B-PER", "E-PER", "O", "I-LOC", "B-LOC"])
      [Span(start=0, end=2, entity='PER'), Span(start=3, end=4, entity='LOC'), Span(start=4, ...)]
    """
    spans: list[Span] = []
    for i, (before, tag) in enumerate(itertools.pairwise([OUTSIDE, *tags])):
        if continues(before, tag):
            spans[-1] = spans[-1]._replace(end=i + 1)
        elif tag != OUTSIDE:
            spans.append(Span(i, i + 1, split_tag(tag)[1]))
    return spans


def scheme_of(tags: Sequence[str]) -> Scheme:
    """The scheme of a set of tags, by their letters; BIO and IOB1 have the same, this says BIO.

    Example:
      >>> scheme_of(["B-PER", "O"]), scheme_of(["S-PER", "O"]), scheme_of(["M-PER", "O"])
      ('BIO', 'BIOES', 'BMES')
    """
    letters = {split_tag(tag)[0] for tag in tags}
    if "M" in letters:
        return "BMES"
    return "BIOES" if letters & {"E", "S"} else "BIO"


def first_fault(tags: Sequence[str], scheme: Scheme) -> tuple[int, str] | None:
    """The first word whose tag breaks the scheme, and why; None if none does.

    Example:
      >>> first_fault(["O", "I-PER"], "BIO")
      (1, 'I-PER follows O')
    """
    if scheme == "IOB1":
        return next(
            (
                (i, f"{tag} follows {before}, which ends nothing of its kind")
                for i, (before, tag) in enumerate(itertools.pairwise([OUTSIDE, *tags]))
                if tag.startswith("B") and not continues(before, "I" + tag[1:])
            ),
            None,
        )
    names = sorted({*tags})
    allowed = tag_constraints(names, scheme=cast(Literal["BIO", "BIOES", "BMES"], scheme))
    rows = [names.index(tag) for tag in tags]
    if not allowed.start[rows[0]]:
        return 0, f"{tags[0]} begins a sentence"
    for i, (before, row) in enumerate(itertools.pairwise(rows), start=1):
        if not allowed.transitions[before, row]:
            return i, f"{tags[i]} follows {tags[i - 1]}"
    return None if allowed.end[rows[-1]] else (len(tags) - 1, f"{tags[-1]} ends a sentence")


def as_bio(tags: Sequence[str]) -> tuple[str, ...]:
    """The same spans in BIO.

    Example:
      >>> as_bio(["I-PER", "I-PER", "B-PER", "O"])
      ('B-PER', 'I-PER', 'B-PER', 'O')
    """
    written = [OUTSIDE] * len(tags)
    for start, end, entity in spans_of(tags):
        suffix = f"-{entity}" if entity else ""
        written[start:end] = [f"B{suffix}"] + [f"I{suffix}"] * (end - start - 1)
    return tuple(written)


def complete(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """All tags of the scheme for the entities in `tags`, so that every span can be written.

    Example:
      >>> complete(["S-PER", "O"], "BMES")
      ['B-PER', 'E-PER', 'M-PER', 'O', 'S-PER']
    """
    letters = {"BMES": "BMES", "BIOES": "BIES"}.get(scheme, "BI")
    found = {split_tag(tag)[1] for tag in tags if tag != OUTSIDE}
    named = {letter + (f"-{one}" if one else "") for one in found for letter in letters}
    return sorted({*named, *({OUTSIDE} & {*tags})})
