"""Files of columns, as in CoNLL: a word a line, and a blank line after each sentence.

Columns stand apart by tabs or by blanks. A line that begins with "#" is a comment, unless it has
the columns of a word; `# split = dev` begins a part of a file that holds several parts, and
`# global.columns = ID FORM UPOS` names the columns, as in CoNLL-U Plus. Lines of CoNLL-U are
numbered, with ranges and empty nodes between the words. A line that begins with -DOCSTART- begins a
document.
"""

import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ._reading import Reading, warned_of

_BLANK = " \t\r"
_DOCUMENT = "-DOCSTART-"
_CONLLU = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split()
_PART = re.compile(r"#\s*split\s*=\s*(\S+)\s*$")
_NAMES = re.compile(r"#\s*global\.columns\s*=\s*(.*)$")
_SETTING = re.compile(r"#\s*\S+\s*=\s")  # of a comment such as "# sent_id = 1"
_HEAD = {"word", "words", "token", "tokens", "form", "tag", "tags", "label", "labels", "ner", "pos"}
_HEAD |= {"upos", "xpos", "entity", "ner_tag", "ner_tags", "pos_tag", "pos_tags", "lemma"}


class Field(NamedTuple):
    """What stands in a column of a line, and where it begins and ends in the line.

    Example:
      >>> from birnn_jax.text import Field
      >>> field = Field("B-ORG", start=3, end=8)
      >>> "EU B-ORG"[field.start : field.end] == field.text
      True
    """

    text: str
    start: int
    end: int


class Row(NamedTuple):
    """A word: its line, by the place in its block and by its number in the file.

    Example:
      >>> import pathlib, tempfile
      >>> from birnn_jax.text import read_columns
      >>> path = pathlib.Path(tempfile.mkdtemp(), "a.txt")
      >>> _ = path.write_text("# a comment\\nEU B-ORG\\n")
      >>> read_columns(path).blocks[0].rows[0][:2]
      (1, 2)
    """

    place: int
    number: int
    fields: list[Field]


class Block(NamedTuple):
    """A sentence: its words, and all of its lines, with those that are no words.

    Example:
      >>> import pathlib, tempfile
      >>> from birnn_jax.text import read_columns
      >>> path = pathlib.Path(tempfile.mkdtemp(), "a.txt")
      >>> _ = path.write_text("# a comment\\nEU B-ORG\\n")
      >>> read_columns(path).blocks[0].lines
      ('# a comment', 'EU B-ORG')
    """

    part: str | None
    rows: list[Row]
    lines: tuple[str, ...]


class ColumnFile(NamedTuple):
    """What a file of columns holds; made by `read_columns`.

    Example:
      >>> import pathlib, tempfile
      >>> from birnn_jax.text import read_columns
      >>> path = pathlib.Path(tempfile.mkdtemp(), "a.txt")
      >>> _ = path.write_text("# a comment\\nEU B-ORG\\n")
      >>> file = read_columns(path)
      >>> file.width, file.word_column, len(file.blocks)
      (2, 0, 1)
    """

    path: pathlib.Path
    blocks: list[Block]
    width: int
    names: Sequence[str]  # of the columns, empty if nothing says them
    numbered: bool  # whether the first column numbers the words

    @property
    def word_column(self) -> int:
        """The column of the words: FORM, or the first that does not number them."""
        return self.names.index("FORM") if "FORM" in self.names else int(self.numbered)


def read_columns(
    path: str | os.PathLike[str],
    reading: Reading | None = None,
    may_be_word: Callable[[list[str]], bool] = bool,
) -> ColumnFile:
    """Reads a file of columns with all that stands in it, plain or gzipped.

    `read_conll` gives the columns that a model needs.

    Args:
      path: the file.
      reading: how to read, and where repairs are noted: surplus blank lines, header lines, columns
        that are separated by other blanks. None reads UTF-8 and warns of repairs.
      may_be_word: whether the columns of a line that begins with "#" and has as many of them as
        other lines can be those of a word.

    Returns:
      `ColumnFile`.

    Raises:
      ValueError: names the file and, where there is one, the line, for what cannot be read: no
        sentence at all, another number of columns, no text in the encoding.

    Example:
      >>> import pathlib, tempfile
      >>> from birnn_jax.text import read_columns
      >>> path = pathlib.Path(tempfile.mkdtemp(), "a.conllu")
      >>> _ = path.write_text("# global.columns = ID FORM UPOS\\n1\\tI\\tPRON\\n2\\tknow\\tVERB\\n")
      >>> file = read_columns(path)
      >>> file.names, [field.text for field in file.blocks[0].rows[1].fields]
      (['ID', 'FORM', 'UPOS'], ['2', 'know', 'VERB'])
    """
    with warned_of(reading) as used:
        return _read(pathlib.Path(path), used, may_be_word)


def _read(
    path: pathlib.Path, reading: Reading, may_be_word: Callable[[list[str]], bool]
) -> ColumnFile:
    lines = reading.text(path).split("\n")
    layout = _layout(path, lines, may_be_word)
    blocks = [block for block in _blocks(path, lines, layout, reading) if block.rows]
    if not blocks:
        raise ValueError(f"{path} is empty: there is no sentence in it.")
    numbered = layout.numbered or _counts(layout.width, blocks)
    if numbered:
        blocks = [
            block._replace(rows=[row for row in block.rows if row.fields[0].text.isdecimal()])
            for block in blocks
        ]
        blocks = [block for block in blocks if block.rows]
        if not blocks:
            raise ValueError(f"{path} has no line that begins with the number of a word.")
    return ColumnFile(path, blocks, layout.width, layout.names, numbered)


class _Layout(NamedTuple):
    """How the lines of a file are split."""

    split: Callable[[str], list[Field]]
    width: int
    names: Sequence[str]
    numbered: bool
    may_be_word: Callable[[list[str]], bool]
    lasts: frozenset[str]  # what stands in the last column of lines without "#"

    def fields(self, line: str) -> list[Field]:
        """The fields of a line; not as many as `width` if no way of splitting gives that."""
        ways = (self.split, _by_tabs, _by_blanks, _by_many_tabs)
        found = (way(line) for way in ways)
        return next((fields for fields in found if len(fields) == self.width), ways[0](line))

    def is_comment(self, line: str, *, inside: bool) -> bool:
        """Whether a line is none of a word; `inside` a sentence fewer may be none."""
        if not line.startswith("#"):
            return False
        if self.numbered or _SETTING.match(line):
            return True
        fields = self.split(line)
        if fields[0].text.startswith("# "):  # where columns stand apart by tabs
            return True
        if len(self.fields(line)) != self.width:
            return not inside
        texts = [field.text for field in self.fields(line)]
        return not inside and not (texts[-1] in self.lasts or self.may_be_word(texts))


def _layout(
    path: pathlib.Path, lines: Sequence[str], may_be_word: Callable[[list[str]], bool]
) -> _Layout:
    """From the names of the columns or the first line of a word."""
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if line.strip()]
    numbered = [(n, line) for n, line in numbered if not line.startswith(_DOCUMENT)]
    words = [(n, line) for n, line in numbered if not line.startswith("#")]
    marked = [(n, line) for n, line in numbered if line.startswith("#")]
    words += [(n, line) for n, line in marked if not _SETTING.match(line)]
    if not words or (words[0][1].startswith("# ") and "\t" not in words[0][1]):
        raise ValueError(f"{path} is empty: there is no sentence in it.")
    number, first = words[0]
    named = next((match[1].split() for match in map(_NAMES.match, lines) if match), [])
    split = _by_tabs if "\t" in first else _by_blanks
    fields = split(first)
    if not named and len(fields) == len(_CONLLU) and re.match(r"\d", fields[0].text):
        named = _CONLLU
    width = len(named) or len(fields)
    if width < 2:
        raise ValueError(
            f"{path}, line {number}: 1 column, but a word and its tag are expected, apart by a tab "
            "or a blank."
        )
    lasts = frozenset(split(line)[-1].text for _, line in words if not line.startswith("#"))
    return _Layout(split, width, named, named[:1] == ["ID"], may_be_word, lasts)


def _blocks(
    path: pathlib.Path, lines: Sequence[str], layout: _Layout, reading: Reading
) -> Iterator[Block]:
    part, rows, kept = None, [], []
    seen = False  # whether a word stands before
    end = max((n for n, line in enumerate(lines, start=1) if line.strip()), default=0)
    for number, line in enumerate([*lines[:end], ""], start=1):
        if not line.strip():
            if line.strip(_BLANK):
                reading.repaired(path, "a line of nothing but wide blanks", "read as blank", number)
            if not kept:
                reading.repaired(path, "an empty sentence", "left out", number)
            yield Block(part, rows, tuple(kept))
            rows, kept = [], []
            continue
        kept.append(line)
        if line.startswith(_DOCUMENT):
            continue
        if layout.is_comment(line, inside=bool(rows)):
            named = _PART.match(line)
            part = named[1] if named else part
            continue
        fields = _checked(path, number, line, layout, reading)
        if not seen and sum(field.text.lower() in _HEAD for field in fields) > 1:
            reading.repaired(path, "a header line", "left out", number)
        else:
            rows.append(Row(len(kept) - 1, number, fields))
        seen = True


def _checked(
    path: pathlib.Path, number: int, line: str, layout: _Layout, reading: Reading
) -> list[Field]:
    fields = layout.fields(line)
    if len(fields) != layout.width:
        raise ValueError(
            f"{path}, line {number}: {len(fields)} column(s) where the lines before have "
            f"{layout.width}."
        )
    if len(layout.split(line)) != layout.width:
        what = "columns apart by other blanks than in the first line"
        reading.repaired(path, what, "read all the same", number)
    return fields


def _counts(width: int, blocks: Sequence[Block]) -> bool:
    """Whether the first of three columns or more counts the words of every sentence from 1."""
    firsts = [[row.fields[0].text for row in block.rows] for block in blocks]
    counted = [[field for field in column if field.isdecimal()] for column in firsts]
    return (
        width > 2
        and any(len(column) > 1 for column in counted)
        and all(
            column == [str(i) for i in range(1, len(column) + 1)]
            and all(re.fullmatch(r"\d+([-.]\d+)?", field) for field in first)
            for column, first in zip(counted, firsts, strict=True)
        )
    )


def _by_tabs(line: str) -> list[Field]:
    return [_stripped(line, *match.span()) for match in re.finditer(r"(?:^|(?<=\t))[^\t]*", line)]


def _by_many_tabs(line: str) -> list[Field]:
    return [field for field in _by_tabs(line) if field.text]


def _by_blanks(line: str) -> list[Field]:
    """And not at U+3000, which may be a word."""
    return [Field(match[0], *match.span()) for match in re.finditer(rf"[^{_BLANK}]+", line)]


def _stripped(line: str, start: int, end: int) -> Field:
    text = line[start:end].lstrip(_BLANK)
    start = end - len(text)
    text = text.rstrip(_BLANK)
    return Field(text, start, start + len(text))
