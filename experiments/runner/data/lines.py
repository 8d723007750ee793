"""Texts to work on, one per line: of the command line, of a file, or of standard input."""

import pathlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console

from experiments.runner.data.reading import STANDARD_INPUT, Reading, file_or_standard_input
from experiments.runner.run.progress import printer


class Line(NamedTuple):
    """A text, and where it stands, for messages."""

    text: str
    place: str


def read_lines(
    given: Sequence[str],
    file: pathlib.Path | None,
    reading: Reading,
    *,
    what: str,
    blank: bool = False,
) -> list[Line]:
    """The texts that a command is to work on.

    Args:
      given: as arguments.
      file: one text a line; None for standard input where there are no arguments.
      reading: how to read, and where empty lines that were left out are reported.
      what: names one of them, such as "sentence".
      blank: whether white space alone is a text.

    Raises:
      ValueError: if there is nothing, a given text is empty, there are arguments beside a file, or
        the file is no text; names the place.
    """
    if given and file is not None:
        raise ValueError(f"Give the {what}s as arguments or with --file, not both.")
    if given:
        lines = [Line(text, f"{what.capitalize()} {n}") for n, text in enumerate(given, start=1)]
        for text, place in lines:
            if not _has_content(text, blank):
                raise ValueError(f"{place} is empty: there is nothing to read in it.")
        return lines
    path = STANDARD_INPUT if file is None else file_or_standard_input(file)
    if path == STANDARD_INPUT and sys.stdin.isatty():
        say = printer(Console(stderr=True))
        say(f"Type one {what} per line; Ctrl-D ends the input.")
    lines = []
    for number, text in enumerate(reading.lines(path), start=1):
        if "\0" in text:
            raise ValueError(f"{path} is not text: line {number} contains a zero byte.")
        if _has_content(text, blank):
            lines.append(Line(text, f"{path}, line {number}"))
        else:
            reading.repaired(path, "an empty line", "left out", number)
    if not lines:
        raise ValueError(f"{path} is empty: there is no {what} in it.")
    return lines


def _has_content(text: str, blank: bool) -> bool:
    return bool(text if blank else text.strip())
