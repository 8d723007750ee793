"""How a command reads text files, and reports what was repaired in them.

A reader repairs what can only be meant in one way, and notes that in its `Reading`: an empty line
that it left out, a header line, a tag. The command reports each kind of repair in one line for each
file. With `strict` the first one is refused instead.
"""

import contextlib
import contextvars
import pathlib
import sys
from collections.abc import Iterator

from rich.console import Console

from birnn_jax import text
from experiments.runner.run.options import Options
from experiments.runner.run.progress import printer

STANDARD_INPUT = pathlib.Path("standard input")  # as it is called in messages

_TOLD: contextvars.ContextVar[set[str] | None] = contextvars.ContextVar("told", default=None)


def file_or_standard_input(path: pathlib.Path) -> pathlib.Path:
    """The file that a command line names; `STANDARD_INPUT` for "-"."""
    return STANDARD_INPUT if str(path) == "-" else path


@contextlib.contextmanager
def telling_once() -> Iterator[None]:
    """Within this, a sentence is reported the first time only, whoever tells it."""
    token = _TOLD.set(set())
    try:
        yield
    finally:
        _TOLD.reset(token)


class Reading(text.Reading):
    """How text files are opened, and a note of every repair, which a command reports."""

    strict_option = "--strict"

    def __init__(
        self, encoding: str = "utf-8", *, strict: bool = False, option: str = "--encoding"
    ):
        """`strict` refuses what would be repaired; `option` names the encoding to a user.

        Raises:
          ValueError: if there is no such encoding of text.
        """
        super().__init__(encoding, strict=strict)
        self.encoding_option = f"{option} latin-1"

    def content(self, path: pathlib.Path) -> bytes:
        """Reads a file whole, or `STANDARD_INPUT` to its end."""
        return sys.stdin.buffer.read() if path == STANDARD_INPUT else super().content(path)

    def tell(self) -> None:
        """Says on standard error what was noted since the last time."""
        say, told = printer(Console(stderr=True)), _TOLD.get()
        for sentence in self.sentences():
            if told is None:
                say(sentence)
            elif sentence not in told:
                say(sentence)
                told.add(sentence)
        self.clear()


class ReadSettings(Options):
    """How the files of a run are read."""

    encoding: str = "utf-8"
    """Encoding of files of text, such as utf-8, latin-1, cp1252, gb18030 or shift_jis; a byte order
    mark in the file takes precedence."""
    strict: bool = False
    """Refuse files with irregularities. By default, an irregularity with only one possible meaning
    is read that way, counted and reported."""

    def reading(self, encoding: str | None = None) -> Reading:
        """A reading with these settings, or in another encoding, that has noted nothing yet."""
        return Reading(encoding or self.encoding, strict=self.strict)
