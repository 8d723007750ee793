"""Options of a command line, and the settings among them."""

import dataclasses
from typing import dataclass_transform


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Options:
    """A group of options: every subclass is a frozen dataclass, made by keywords."""

    def __init_subclass__(cls) -> None:
        """Makes the subclass a dataclass."""
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
