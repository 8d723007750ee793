"""Text files as they are found: in any encoding, with a note of every repair.

A reader repairs what can only be meant in one way, and notes that in its `Reading`: an empty line
that it left out, a header line. With `strict` the first one is refused instead.
"""

import codecs
import contextlib
import gzip
import io
import pathlib
import warnings
import zlib
from collections.abc import Iterator
from typing import Any, ClassVar, cast

_MARKS = {  # longest first: the mark of UTF-32 begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SHOWN = 3  # places named in a sentence
_LARGEST = 2**31  # bytes: what a few kilobytes unzip to may fill any memory


class Reading:
    """How text files are opened, and a note of every repair.

    The functions of this module that read files take one as `reading`; without it they read UTF-8
    and warn of what they note. Files whose names end in .gz are unzipped.

    Args:
      encoding: of files of text, such as "utf-8", "latin-1" or "gb18030"; a byte order mark in a
        file goes before it.
      strict: whether what would be repaired is refused instead.

    Raises:
      ValueError: if there is no such encoding of text.

    Example:
      >>> import pathlib
      >>> from birnn_jax.text import Reading
      >>> reading = Reading("latin-1")
      >>> for line in (3, 7, 9, 12):
      ...     reading.repaired(pathlib.Path("a.txt"), "an empty line", "left out", line)
      >>> reading.sentences()
      ['a.txt: an empty line, 4 times (lines 3, 7, 9, ...); left out.']
    """

    strict_option: ClassVar[str] = "strict=True"

    def __init__(self, encoding: str = "utf-8", *, strict: bool = False):
        """Has noted nothing yet."""
        self.encoding = _known(encoding)
        self.strict = strict
        self.encoding_option = "Reading('latin-1')"  # to give as an example
        self._repairs: dict[tuple[pathlib.Path, str, str], list[str]] = {}
        self._remarks: dict[tuple[pathlib.Path, str], None] = {}

    def content(self, path: pathlib.Path) -> bytes:
        """Reads a file whole, unzipped where its name ends in .gz.

        Raises:
          ValueError: says in a sentence why it cannot be read or unzipped.
        """
        with readable(path):
            if path.suffix != ".gz":
                return path.read_bytes()
            with gzip.open(path) as file:
                content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"{path} unzips to more than {_LARGEST:,} bytes; give it unzipped.")
        return content

    def text(self, path: pathlib.Path) -> str:
        """Reads a text whole, without a byte order mark and with the line ends of Unix.

        A byte order mark says the encoding; without one it is `encoding`.

        Raises:
          ValueError: names the file and the line, if it is not text in this encoding.
        """
        content = self.content(path)
        encoding = self._encoding_of(path, content)
        try:
            text = content.decode(encoding)
        except UnicodeError as error:
            start = error.start if isinstance(error, UnicodeDecodeError) else 0
            line = content.count(b"\n", 0, start) + 1
            raise ValueError(self._undecodable(path, line, encoding, error)) from None
        text = text.replace("\r\n", "\n")
        if "\r" in text and "\n" not in text:
            self.remark(path, "its lines end in carriage returns, as on old Macintoshes")
            text = text.replace("\r", "\n")
        return text

    def lines(self, path: pathlib.Path) -> list[str]:
        """The lines of a text; nothing else than a line feed ends one."""
        return self.text(path).removesuffix("\n").split("\n")

    def stream(self, path: pathlib.Path) -> Iterator[str]:
        """The lines of a text one by one, for a file that is not read to its end.

        Bytes of a line that are no text in the encoding become lone surrogates, as
        `surrogateescape` makes them.

        Raises:
          ValueError: names the file, if it is not text in its encoding.
        """
        number = 0
        with readable(path), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            encoding = self._encoding_of(path, file.read(4))
            file.seek(0)
            text = io.TextIOWrapper(
                cast(Any, file), encoding=encoding, errors="surrogateescape", newline="\n"
            )
            try:
                for line in text:
                    number += 1
                    yield line.rstrip("\r\n")
            except UnicodeError as error:
                raise ValueError(self._undecodable(path, number + 1, encoding, error)) from None

    def refuse_undecodable(self, path: pathlib.Path, number: int, line: str) -> None:
        """Refuses a line of `stream` that is no text in the encoding.

        Raises:
          ValueError: names the file and the line.
        """
        try:
            line.encode("utf-8")
        except UnicodeError as error:
            raise ValueError(self._undecodable(path, number, self.encoding, error)) from None

    def repaired(
        self, path: pathlib.Path, what: str, done: str, place: int | str | None = None
    ) -> None:
        """Notes that something was not as it should be, and how it was repaired.

        Args:
          path: the file, or the folder.
          what: what it is, in the singular.
          done: what was done.
          place: number of the line, or name of the file in the folder.

        Raises:
          ValueError: with `strict`.
        """
        if self.strict:
            at = _at([_named(place)])
            raise ValueError(f"{path}{at}: {what}; {self.strict_option} refuses that.")
        self._repairs.setdefault((path, what, done), []).append(_named(place))

    def remark(self, path: pathlib.Path, sentence: str) -> None:
        """Notes how a file was understood, once."""
        self._remarks[path, sentence] = None

    def sentences(self) -> list[str]:
        """All that was noted, each kind in a sentence."""
        remarks = [f"{path}: {sentence}." for path, sentence in self._remarks]
        return remarks + [
            f"{path}{_at(places)}: {what}; {done}."
            if len(places) == 1
            else f"{path}: {what}, {len(places):,} times{_among(places)}; {done}."
            for (path, what, done), places in self._repairs.items()
        ]

    def clear(self) -> None:
        """Forgets what was noted."""
        self._repairs.clear()
        self._remarks.clear()

    def _encoding_of(self, path: pathlib.Path, content: bytes) -> str:
        """What the byte order mark at the beginning says, or else `encoding`."""
        marked = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
        if marked is None:
            return self.encoding
        if marked != "utf-8-sig":
            self.remark(path, f"read as {marked.upper()}, which its byte order mark says")
        return marked

    def _undecodable(
        self, path: pathlib.Path, line: int, encoding: str, error: UnicodeError
    ) -> str:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else "invalid bytes"
        name = {"utf-8-sig": "UTF-8"}.get(encoding, encoding.upper())
        return (
            f"{path}, line {line}: not {name} ({reason}). Name the encoding of the file, for "
            f"example {self.encoding_option}."
        )


@contextlib.contextmanager
def warned_of(reading: Reading | None) -> Iterator[Reading]:
    """The reading given; without one, another whose notes become warnings of the caller."""
    used = Reading() if reading is None else reading
    yield used
    if reading is None:
        for sentence in used.sentences():
            warnings.warn(sentence, UserWarning, stacklevel=4)


@contextlib.contextmanager
def readable(path: pathlib.Path) -> Iterator[None]:
    """Says in one sentence why the file cannot be read or unzipped, if it cannot."""
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist.") from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; a file was expected.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is named .gz but cannot be unzipped: {error}.") from None


def _known(encoding: str) -> str:
    try:
        known = codecs.lookup(encoding)
    except LookupError:
        known = None
    if known is None or not known._is_text_encoding:
        raise ValueError(
            f"There is no encoding {encoding!r}; common ones are utf-8, latin-1, cp1252, utf-16, "
            "gb18030, big5, shift_jis, euc-kr and koi8-r."
        )
    return encoding


def _named(place: int | str | None) -> str:
    return f"line {place}" if isinstance(place, int) else place or ""


def _at(places: list[str]) -> str:
    return f", {places[0]}" if places[0] else ""


def _among(places: list[str]) -> str:
    """The first places, in brackets."""
    named = list(dict.fromkeys(filter(None, places)))
    if not named:
        return ""
    shown = named[:_SHOWN]
    if all(place.startswith("line ") for place in shown):
        shown = [place.removeprefix("line ") for place in shown]
        shown[0] = f"line{'s' * (len(shown) > 1)} {shown[0]}"
    return f" ({', '.join(shown)}{', ...' * (len(named) > _SHOWN)})"
