"""Reads the house's docstrings for the API pages: an extension of Griffe."""

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^Example:$", flags=re.MULTILINE)
_LENGTHS = re.compile(r"^  lengths: ", flags=re.MULTILINE)
_EXPLAINED = "  lengths: [valid steps][padding-and-masks] of each row: "


class HouseDocstrings(griffe.Extension):
    """Makes examples a section of their own, and links `lengths` to what explains them."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Changes the docstring of one object."""
        if obj.docstring:
            text = _EXAMPLE.sub("Examples:", obj.docstring.value)
            obj.docstring.value = _LENGTHS.sub(_EXPLAINED, text)
