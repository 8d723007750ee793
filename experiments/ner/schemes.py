"""Spans of entities from tags in any scheme, which scheme that is, and tags that break it.

A span begins at a tag that does not continue the one before it, so that spans are defined for tags
that break the scheme too, as in the scorer of CoNLL-2000 (conlleval): an I-x after O begins one.
"""

import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

Scheme = Literal["BIO", "BIOES", "BMES"]
"""Schemes that are learned."""
WrittenScheme = Literal["BIO", "IOB1", "IO", "BIOES", "BILOU", "BMES"]
"""Schemes that are read."""
OUTSIDE = "O"


_OPEN, _INNER = "BIM", "IMEL"


_LETTERS = {"BIO": "BIIB", "BIOES": "BIES", "BMES": "BMES"}  # first, inner, last, alone


class Span(NamedTuple):
    """An entity: words `start` up to, not including, `end`."""

    start: int
    end: int
    entity: str


def continues(before: str, tag: str) -> bool:
    """Whether `tag` continues the span of the tag `before` it.

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
    """The scheme of a set of tags that are learned, by their letters.

    Example:
      >>> scheme_of(["B-PER", "O"]), scheme_of(["S-PER", "O"]), scheme_of(["M-PER", "O"])
      ('BIO', 'BIOES', 'BMES')
    """
    letters = {split_tag(tag)[0] for tag in tags}
    if "M" in letters:
        return "BMES"
    return "BIOES" if letters & {"E", "S"} else "BIO"


def scheme_of_file(sentences: Sequence[Sequence[str]]) -> WrittenScheme:
    """The scheme of the tags of a whole file.

    By their letters; those of BIO and IOB1 are the same, and the one that they break less often is
    meant. IOB1 writes B only where an entity follows another one of its kind.

    Example:
      >>> scheme_of_file([["I-PER", "B-PER"], ["I-LOC"]]), scheme_of_file([["B-PER"], ["I-LOC"]])
      ('IOB1', 'BIO')
    """
    letters = {split_tag(tag)[0] for tags in sentences for tag in tags}
    if letters & set("LU"):
        return "BILOU"
    if letters & set("MES"):
        return scheme_of([*letters])
    if "B" not in letters:
        return "IO" if "I" in letters else "BIO"
    starts = [
        tag[0]
        for tags in sentences
        for before, tag in itertools.pairwise([OUTSIDE, *tags])
        if tag != OUTSIDE and not continues(before, "I" + tag[1:])
    ]
    return "IOB1" if starts.count("B") < starts.count("I") else "BIO"


_ENDS = str.maketrans("LU", "ES")


def target_of(scheme: WrittenScheme) -> Scheme:
    """The scheme that the tags of another are written in to be learned."""
    targets: dict[WrittenScheme, Scheme] = {"IO": "BIO", "IOB1": "BIO", "BILOU": "BIOES"}
    return targets.get(scheme, cast(Scheme, scheme))


def rewrite(tags: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """The same spans in another scheme.

    Example:
      >>> rewrite(["I-PER", "I-PER", "B-PER", "O"], "BIO")
      ('B-PER', 'I-PER', 'B-PER', 'O')
      >>> rewrite(["I-PER", "I-PER", "B-PER", "O"], "BIOES")
      ('B-PER', 'E-PER', 'S-PER', 'O')
    """
    first, inner, last, single = _LETTERS[scheme]
    written = [OUTSIDE] * len(tags)
    for start, end, entity in spans_of(tags):
        suffix = f"-{entity}" if entity else ""
        letters = first + inner * (end - start - 2) + last if end - start > 1 else single
        written[start:end] = [letter + suffix for letter in letters]
    return tuple(written)


def faults(tags: Sequence[str], scheme: WrittenScheme) -> list[int]:
    """The places of tags that do not stand where their scheme writes them.

    Example:
      >>> faults(["O", "I-PER", "I-PER"], "BIO"), faults(["O", "I-PER", "I-PER"], "IOB1")
      ([1], [])
    """
    if scheme in ("IO", "IOB1"):
        return [
            i
            for i, (before, tag) in enumerate(itertools.pairwise([OUTSIDE, *tags]))
            if tag[0] == "B" and not continues(before, "I" + tag[1:])
        ]
    written = [in_letters(tag, target_of(scheme)) for tag in tags]
    right = rewrite(written, target_of(scheme))
    return [i for i, (tag, wanted) in enumerate(zip(written, right, strict=True)) if tag != wanted]


def in_letters(tag: str, scheme: Scheme) -> str:
    """A tag of BILOU in the letters of BIOES; any other as it is."""
    return tag[:1].translate(_ENDS) + tag[1:] if scheme == "BIOES" else tag


def complete(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """All tags of the scheme for the entities in `tags`, so that every span can be written.

    Example:
      >>> complete(["S-PER", "O"], "BMES")
      ['B-PER', 'E-PER', 'M-PER', 'O', 'S-PER']
    """
    found = {split_tag(tag)[1] for tag in tags if tag != OUTSIDE}
    named = {
        letter + (f"-{entity}" if entity else "") for entity in found for letter in _LETTERS[scheme]
    }
    return sorted({*named, *({OUTSIDE} & {*tags})})
