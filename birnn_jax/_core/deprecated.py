"""Names that a package imports when they are first used, and old names, which say the new ones."""

import functools
import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

C = TypeVar("C", bound=type)


def warn(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Says what to write in place of `old`, where the caller of the caller wrote it."""
    message = f"{old} is now {new}; the old name goes with the next release."
    warnings.warn(message, DeprecationWarning, stacklevel=stacklevel)


def renamed_keyword(
    old: str, new: str, convert: Callable[[Any], Any] | None = None
) -> Callable[[C], C]:
    """A class whose constructor still takes the keyword `old`, and gives it converted to `new`."""

    def decorate(cls: C) -> C:
        init = cls.__init__

        @functools.wraps(init)
        def with_old_keyword(self: Any, *args: Any, **kwargs: Any) -> None:
            if old in kwargs:
                kwargs[new] = kwargs.pop(old) if convert is None else convert(kwargs.pop(old))
                value = "..." if convert is None else kwargs[new]
                warn(f"{cls.__name__}({old}=...)", f"{cls.__name__}({new}={value})")
            init(self, *args, **kwargs)

        type.__setattr__(cls, "__init__", with_old_keyword)
        return cls

    return decorate


def module_getattr(
    package: str,
    modules: Sequence[str],
    moved: Mapping[str, Sequence[str]] = MappingProxyType({}),
    lazy: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package, called when its other names are there.

    What is imported at first use are modules and names of theirs; old names warn.

    Args:
      package: its name.
      modules: below it, not imported with it.
      moved: for each module the names that it has now, and that the package had before.
      lazy: for each module the names that the package has too, without importing it.
    """
    homes, lazy_homes = (
        {name: module for module, names in table.items() for name in names}
        for table in (moved, lazy)
    )

    def get(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name in lazy_homes:
            return getattr(importlib.import_module(f"{package}.{lazy_homes[name]}"), name)
        if name in homes:
            warn(f"{package}.{name}", f"{package}.{homes[name]}.{name}")
            return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        # Python looks for a name like it in the module.
        text = f"module {package!r} has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=sys.modules[package])

    def list_names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *modules, *lazy_homes})

    present = {name for name in vars(sys.modules[package]) if not name.startswith("_")}
    return get, list_names, sorted(present | lazy_homes.keys())
