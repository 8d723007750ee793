"""Parameters and carries as arguments and results of functions that `jax.export` writes."""

import functools
from collections.abc import Mapping
from typing import Any

import jax.export


def make_exportable(names: Mapping[str, Any]) -> None:
    """Registers the NamedTuples among `names`, the public names of a module, under their own."""
    for value in names.values():
        if isinstance(value, type) and issubclass(value, tuple) and hasattr(value, "_fields"):
            _register(value)


@functools.cache
def _register(kind: Any) -> None:
    name = f"birnn_jax.{kind.__name__}"
    jax.export.register_namedtuple_serialization(kind, serialized_name=name)
