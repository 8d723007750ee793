"""What `--help` shows of options: paths from here, and paragraphs as wide as the terminal."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from contextvars import ContextVar

import tyro
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    PrimitiveTypeInfo,
    StructConstructorSpec,
    StructTypeInfo,
)

from experiments.runner.run.options import Options

HELP = tyro.constructors.ConstructorRegistry()
"""The rules, for `tyro.cli`."""
_ARE_JOINED: ContextVar[bool] = ContextVar("are_joined", default=False)


@HELP.primitive_rule
def _show_paths_from_here(
    info: PrimitiveTypeInfo,
) -> PrimitiveConstructorSpec[pathlib.Path] | None:
    """Paths, which are shown as they are seen from the working directory."""
    if info.type is not pathlib.Path:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="PATH",
        instance_from_str=lambda words: pathlib.Path(words[0]),
        is_instance=lambda value: isinstance(value, pathlib.Path),
        str_from_instance=lambda path: [_from_here(path)],
    )


def _from_here(path: pathlib.Path) -> str:
    here = pathlib.Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


@HELP.struct_rule
def _join_lines(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Options, of whose docstrings tyro would keep the line breaks of the source."""
    is_other = not (isinstance(info.type, type) and issubclass(info.type, Options))
    if is_other or _ARE_JOINED.get():
        return None
    token = _ARE_JOINED.set(True)
    try:
        spec = ConstructorRegistry.get_struct_spec(info)  # by the rules of tyro
    finally:
        _ARE_JOINED.reset(token)
    if not isinstance(spec, StructConstructorSpec):
        return None
    fields = tuple(
        dataclasses.replace(field, helptext=functools.partial(_joined, field.helptext))
        for field in spec.fields
    )
    return dataclasses.replace(spec, fields=fields)


def _joined(text: str | Callable[[], str | None] | None) -> str | None:
    text = text() if callable(text) else text
    return text and "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
