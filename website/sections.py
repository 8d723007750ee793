"""Sections of this project's docstrings, as the API pages read them."""

import re

_EXAMPLE = re.compile(r"^Example:$", flags=re.MULTILINE)
_LENGTHS = re.compile(r"^  lengths: ", flags=re.MULTILINE)
_EXPLAINED = "  lengths: [valid steps][padding-and-masks] of each row: "
_RETURNS = re.compile(r"^Returns:\n(?!  \w+: )((?:  .*(?:\n|\Z))+)", flags=re.MULTILINE)
_NEXT_LINE = re.compile(r"\n  (?=\S)")


def for_griffe(docstring: str) -> str:
    r"""A docstring with sections that Griffe reads as they are meant.

    Examples become a section of their own, and `lengths` links to its explanation. Of one result,
    which has no name, further lines are indented: Griffe takes each for another result.

    >>> print(for_griffe("Returns:\n  The sum,\n  rounded.\n\nExample:\n  3"))
    Returns:
      The sum,
        rounded.
    <BLANKLINE>
    Examples:
      3
    >>> named = "Returns:\n  low: the minimum.\n  high: the maximum."
    >>> for_griffe(named) == named
    True
    """
    text = _LENGTHS.sub(_EXPLAINED, _EXAMPLE.sub("Examples:", docstring))
    return _RETURNS.sub(lambda match: "Returns:\n" + _NEXT_LINE.sub("\n    ", match[1]), text)
