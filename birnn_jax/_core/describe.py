"""Values in words, for messages and for `repr`."""

import dataclasses
import inspect
import sys
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer


def describe(value: Any) -> str:
    """What `value` is, in a few words, to be read after "got"."""
    if value is None or isinstance(value, bool | int | float | complex):
        return repr(value)
    if isinstance(value, str):
        return f"the string {value!r}"
    if isinstance(value, type):
        return f"the class {value.__module__}.{value.__qualname__}"
    if isinstance(value, Mapping):
        return f"a dict with the keys {', '.join(map(repr, value)) or 'none'}"
    if type(value) in (list, tuple):
        kinds = " and ".join(dict.fromkeys(map(_name_kind, value)))
        kind = type(value).__name__
        return f"a {kind} of {len(value)} ({kinds})" if value else f"an empty {kind}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _describe_array(value)
    if inspect.isroutine(value):
        return f"the function {name_function(value)}"
    return type(value).__name__


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def name_function(function: Any) -> str:
    """The name that code would call a function by; that of a public one of JAX in full."""
    for prefix, module in _PUBLIC:
        name = getattr(function, "__name__", "")
        if name and getattr(module, name, None) is function:
            return f"{prefix}.{name}"
    if dataclasses.is_dataclass(function) and not isinstance(function, type):
        values = [getattr(function, field.name) for field in dataclasses.fields(function)]
        texts = [name_function(value) if callable(value) else repr(value) for value in values]
        return f"{type(function).__name__}({', '.join(texts)})"
    name = getattr(function, "__qualname__", None)
    return repr(function) if name is None else name.rpartition("<locals>.")[2]


def find_constant(value: Any, parts: tuple[Any, ...]) -> str | None:
    """The name of a constant equal to `value` in a module where one of its `parts` is defined."""
    for part in parts:
        module = sys.modules.get(getattr(part, "__module__", None) or "")
        for name, constant in list(vars(module).items()) if module else ():
            if type(constant) is type(value) and constant == value:
                return name
    return None


_PUBLIC = (("jnp", jnp), ("jax.nn", jax.nn), ("jax.lax", jax.lax))


def _name_kind(value: Any) -> str:
    return "array" if isinstance(value, jax.Array) else type(value).__name__


def _describe_array(value: Any) -> str:
    if isinstance(value, Tracer):
        kind = "a traced array"
    else:
        module = type(value).__module__.partition(".")[0]
        is_plain = module in ("jaxlib", "jax", "numpy")
        kind = "an array" if is_plain else f"a {module} {type(value).__name__}"
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return "a random key" if value.ndim == 0 else f"random keys of shape {value.shape}"
    shape = tuple(value.shape)
    return f"{kind} of {value.dtype}" if shape == () else f"{kind} of shape {shape}"
