"""Schemes of tags that write spans: from one to another, which one it is, and what breaks it."""

import itertools
from collections.abc import Iterable, Sequence

from .._core.checks import check_choice
from .._core.spans import OUTSIDE, Scheme, continues, spans_of_tags, split_tag

# By scheme the letters of the first, an inner, the last, and the only tag of a span.
_LETTERS = {
    "BIO": "BIIB",
    "IOB1": "IIII",
    "IO": "IIII",
    "BIOES": "BIES",
    "BILOU": "BILU",
    "BIOUL": "BILU",
    "BMES": "BMES",
}


def convert_tags(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """Writes the spans of a row of tags, of whatever scheme, in another one.

    Tags that break their scheme are read as conlleval reads them, see `spans_of_tags`: in its own
    scheme, a row of tags comes back repaired.

    Args:
      tags: of one sequence, such as "B-PER", "O", or "B" where there is one label only.
      scheme: to write: "BIO", "IOB1", "IO", "BIOES", "BILOU", "BIOUL" or "BMES".

    Returns:
      As many tags.

    Raises:
      ValueError: for an unknown scheme.

    Example:
      >>> from birnn_jax.text import convert_tags
      >>> convert_tags(["I-PER", "I-PER", "B-PER", "O"], "BIO")
      ['B-PER', 'I-PER', 'B-PER', 'O']
      >>> convert_tags(["I-PER", "I-PER", "B-PER", "O"], "BIOES")
      ['B-PER', 'E-PER', 'S-PER', 'O']

    References:
      Ramshaw and Marcus, Text Chunking using Transformation-Based Learning, 1995.
    """
    check_choice("scheme", scheme, _LETTERS)
    first, inner, last, single = _LETTERS[scheme]
    written = [OUTSIDE] * len(tags)
    before = None
    for span in spans_of_tags(tags):
        start, end, label = span
        letters = first + inner * (end - start - 2) + last if end - start > 1 else single
        if scheme == "IOB1" and before and (before.end, before.label) == (start, label):
            letters = "B" + letters[1:]
        suffix = f"-{label}" if label else ""
        written[start:end] = [letter + suffix for letter in letters]
        before = span
    return written


def find_scheme(rows: Iterable[Sequence[str]]) -> Scheme:
    """Finds the scheme of the tags of a whole file, by their letters.

    Those of BIO and IOB1 are the same; the one that the tags break less often is meant. IOB1 writes
    B only where a span follows another one with its label.

    Args:
      rows: the tags of every sequence.

    Returns:
      "BIO", "IOB1", "IO", "BIOES", "BILOU" or "BMES".

    Example:
      >>> from birnn_jax.text import find_scheme
      >>> find_scheme([["I-PER", "B-PER"], ["I-LOC"]]), find_scheme([["B-PER"], ["I-LOC"]])
      ('IOB1', 'BIO')
    """
    rows = list(rows)
    letters = {split_tag(tag)[0] for tags in rows for tag in tags}
    if letters & set("LU"):
        return "BILOU"
    if "M" in letters:
        return "BMES"
    if letters & set("ES"):
        return "BIOES"
    if "B" not in letters:
        return "IO" if "I" in letters else "BIO"
    starts = [
        tag[0]
        for tags in rows
        for before, tag in itertools.pairwise([OUTSIDE, *tags])
        if tag != OUTSIDE and not continues(before, "I" + tag[1:])
    ]
    return "IOB1" if starts.count("B") < starts.count("I") else "BIO"


def tag_faults(tags: Sequence[str], scheme: Scheme) -> list[int]:
    """Finds the tags that do not stand where their scheme writes them.

    Args:
      tags: of one sequence.
      scheme: of these tags.

    Returns:
      Their places. `convert_tags(tags, scheme)` repairs them.

    Example:
      >>> from birnn_jax.text import tag_faults
      >>> tag_faults(["O", "I-PER", "I-PER"], "BIO"), tag_faults(["O", "I-PER", "I-PER"], "IOB1")
      ([1], [])
    """
    right = convert_tags(tags, scheme)
    return [i for i, (tag, wanted) in enumerate(zip(tags, right, strict=True)) if tag != wanted]


def complete_tags(tags: Iterable[str], scheme: Scheme) -> list[str]:
    """Lists all tags that a scheme has for the labels that some tags name.

    Args:
      tags: such as those of the training data.
      scheme: of the tags that are listed.

    Returns:
      The tags, sorted; "O" is among them if it is among `tags`.

    Raises:
      ValueError: for an unknown scheme.

    Example:
      >>> from birnn_jax.text import complete_tags
      >>> complete_tags(["S-PER", "O"], "BMES")
      ['B-PER', 'E-PER', 'M-PER', 'O', 'S-PER']
    """
    check_choice("scheme", scheme, _LETTERS)
    tags = set(tags)
    labels = {split_tag(tag)[1] for tag in tags if tag != OUTSIDE}
    letters = set(_LETTERS[scheme]) | ({"B"} if scheme == "IOB1" else set())
    named = {letter + (f"-{label}" if label else "") for label in labels for letter in letters}
    return sorted(named | ({OUTSIDE} & tags))
