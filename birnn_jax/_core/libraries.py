"""Libraries that only some functions need, imported when such a function is called."""

import importlib
from typing import Any


def framework(name: str, package: str, purpose: str) -> Any:
    """The module `name`, imported at last.

    Raises:
      ImportError: if it is missing; says for what it is needed and how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {name}: pip install {package}.") from error
