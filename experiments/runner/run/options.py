"""Options of a command line, and the settings among them."""

import contextlib
import dataclasses
import functools
import inspect
import pathlib
import typing
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Annotated, Any, dataclass_transform

import tyro

Words = Annotated[
    tuple[str, ...],
    tyro.conf.arg(help_behavior_hint=lambda default: f"(default: {default or 'none'})"),
]
"""Any number of words, of which help says "none" where there are none by default."""

_ARE_PARSED: ContextVar[bool] = ContextVar("are_parsed", default=False)


class Refused(Exception):
    """Options of a command line that are impossible; the message is that of a ValueError."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Options:
    """A group of options: every subclass is a frozen dataclass, made by keywords.

    Help lists files first, then what the subclass adds, then the options of its bases.
    """

    def __init_subclass__(cls) -> None:
        """Makes the subclass a dataclass."""
        if "__post_init__" in cls.__dict__:
            cls.__post_init__ = _refusing(cls.__dict__["__post_init__"])
        dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        fields = cls.__dict__["__dataclass_fields__"]
        annotated = [name for base in cls.__mro__ for name in inspect.get_annotations(base)]
        names = [name for name in dict.fromkeys(annotated) if name in fields]
        names.sort(key=lambda name: not _is_file(fields[name]))
        ordered = {name: fields[name] for name in names}
        fields.clear()
        fields.update(ordered)


@contextlib.contextmanager
def parsing() -> Iterator[None]:
    """Raises `Refused` in place of ValueError for impossible options, in a `with` block.

    The parser of a command line catches a ValueError and reports it with names of its own.
    """
    token = _ARE_PARSED.set(True)
    try:
        yield
    finally:
        _ARE_PARSED.reset(token)


def _refusing(check: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(check)
    def post_init(self: Any) -> None:
        try:
            check(self)
        except ValueError as error:
            if _ARE_PARSED.get():
                raise Refused(str(error)) from error
            raise

    return post_init


def _is_file(field: Any) -> bool:
    return pathlib.Path in (field.type, *typing.get_args(field.type))
