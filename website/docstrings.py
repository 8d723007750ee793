"""Reads the house's docstrings for the API pages: an extension of Griffe."""

from typing import Any

import griffe

from website.sections import for_griffe


class HouseDocstrings(griffe.Extension):
    """Gives Griffe every docstring with the sections that it knows."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Changes the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = for_griffe(obj.docstring.value)
