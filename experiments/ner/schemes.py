"""Schemes of tags that are read, and those that are learned."""

from collections.abc import Sequence
from typing import Literal, cast

from birnn_jax.text import split_tag

Scheme = Literal["BIO", "BIOES", "BMES"]
"""Schemes that are learned."""
WrittenScheme = Literal["BIO", "IOB1", "IO", "BIOES", "BILOU", "BMES"]
"""Schemes that are read."""
OUTSIDE = "O"


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


def target_of(scheme: str) -> Scheme:
    """The scheme that the tags of another are written in to be learned."""
    targets: dict[str, Scheme] = {"IO": "BIO", "IOB1": "BIO", "BILOU": "BIOES"}
    return targets.get(scheme, cast(Scheme, scheme))
