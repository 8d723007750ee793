"""Files of columns, as in CoNLL: a word a line, and a blank line after each sentence.

Columns stand apart by tabs or by blanks. A line that begins with "#" is a comment, unless it has
the columns of a word; `# split = dev` begins a part of a file that holds several parts, and
`# global.columns = ID FORM UPOS` names the columns, as in CoNLL-U Plus. Lines of CoNLL-U are
numbered, with ranges and empty nodes between the words. A line that begins with -DOCSTART- begins a
document.
"""

import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from experiments.runner.data.reading import Reading

_BLANK = " \t\r"
_DOCUMENT = "-DOCSTART-"
_CONLLU = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split()
_PART = re.compile(r"#\s*split\s*=\s*(\S+)\s*$")
_NAMES = re.compile(r"#\s*global\.columns\s*=\s*(.*)$")
_SETTING = re.compile(r"#\s*\S+\s*=\s")  # of a comment such as "# sent_id = 1"
_HEAD = {"word", "words", "token", "tokens", "form", "tag", "tags", "label", "labels", "ner", "pos"}
_HEAD |= {"upos", "xpos", "entity", "ner_tag", "ner_tags", "pos_tag", "pos_tags", "lemma"}


class Cell(NamedTuple):
    """What stands in a column of a line, and where it begins and ends in the line."""

    text: str
    start: int
    end: int


class Row(NamedTuple):
    """A word: its line, by the place in its block and by its number in the file."""

    place: int
    number: int
    cells: list[Cell]


class Block(NamedTuple):
    """A sentence: its words, and all of its lines, with those that are no words."""

    part: str | None
    rows: list[Row]
    lines: tuple[str, ...]


class ColumnFile(NamedTuple):
    """What a file holds."""

    path: pathlib.Path
    blocks: list[Block]
    width: int
    names: Sequence[str]  # of the columns, empty if nothing says them
    numbered: bool  # whether the first column numbers the words


def read_columns(
    path: pathlib.Path, reading: Reading, may_be_word: Callable[[list[str]], bool] = bool
) -> ColumnFile:
    """Reads a file, plain or gzipped.

    Args:
      path: the file.
      reading: how to read, and where repairs are reported.
      may_be_word: whether the columns of a line that begins with "#" and has as many of them as
        other lines can be those of a word.

    Raises:
      ValueError: names the file and, where there is one, the line, for what cannot be read: no
        sentence at all, another number of columns, no text in the encoding.
    """
    lines = reading.text(path).split("\n")
    layout = _layout(path, lines, may_be_word)
    blocks = [block for block in _blocks(path, lines, layout, reading) if block.rows]
    if not blocks:
        raise ValueError(f"{path} is empty: there is no sentence in it.")
    numbered = layout.numbered or _counts(layout.width, blocks)
    if numbered:
        blocks = [
            block._replace(rows=[row for row in block.rows if row.cells[0].text.isdecimal()])
            for block in blocks
        ]
        blocks = [block for block in blocks if block.rows]
        if not blocks:
            raise ValueError(f"{path} has no line that begins with the number of a word.")
    return ColumnFile(path, blocks, layout.width, layout.names, numbered)


class _Layout(NamedTuple):
    """How the lines of a file are split."""

    split: Callable[[str], list[Cell]]
    width: int
    names: Sequence[str]
    numbered: bool
    may_be_word: Callable[[list[str]], bool]
    lasts: frozenset[str]  # what stands in the last column of lines without "#"

    def cells(self, line: str) -> list[Cell]:
        """The cells of a line; not as many as `width` if no way of splitting gives that."""
        ways = (self.split, _by_tabs, _by_blanks, _by_many_tabs)
        return next((cells for way in ways if len(cells := way(line)) == self.width), ways[0](line))

    def is_comment(self, line: str, *, inside: bool) -> bool:
        """Whether a line is none of a word; `inside` a sentence fewer may be none."""
        if not line.startswith("#"):
            return False
        if self.numbered or _SETTING.match(line):
            return True
        cells = self.split(line)
        if cells[0].text.startswith("# "):  # where columns stand apart by tabs
            return True
        if len(self.cells(line)) != self.width:
            return not inside
        texts = [cell.text for cell in self.cells(line)]
        return not inside and not (texts[-1] in self.lasts or self.may_be_word(texts))


def _layout(
    path: pathlib.Path, lines: Sequence[str], may_be_word: Callable[[list[str]], bool]
) -> _Layout:
    """From the names of the columns or the first line of a word."""
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if line.strip()]
    numbered = [cell for cell in numbered if not cell[1].startswith(_DOCUMENT)]
    words = [cell for cell in numbered if not cell[1].startswith("#")]
    words += [cell for cell in numbered if cell[1].startswith("#") and not _SETTING.match(cell[1])]
    if not words or (words[0][1].startswith("# ") and "\t" not in words[0][1]):
        raise ValueError(f"{path} is empty: there is no sentence in it.")
    number, first = words[0]
    named = next((match[1].split() for match in map(_NAMES.match, lines) if match), [])
    split = _by_tabs if "\t" in first else _by_blanks
    cells = split(first)
    if not named and len(cells) == len(_CONLLU) and re.match(r"\d", cells[0].text):
        named = _CONLLU
    width = len(named) or len(cells)
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
                reading.bridge(path, "a line of nothing but wide blanks", "read as blank", number)
            if not kept:
                reading.bridge(path, "an empty sentence", "left out", number)
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
        cells = _checked(path, number, line, layout, reading)
        if not seen and sum(cell.text.lower() in _HEAD for cell in cells) > 1:
            reading.bridge(path, "a header line", "left out", number)
        else:
            rows.append(Row(len(kept) - 1, number, cells))
        seen = True


def _checked(
    path: pathlib.Path, number: int, line: str, layout: _Layout, reading: Reading
) -> list[Cell]:
    cells = layout.cells(line)
    if len(cells) != layout.width:
        raise ValueError(
            f"{path}, line {number}: {len(cells)} column(s) where the lines before have "
            f"{layout.width}."
        )
    if len(layout.split(line)) != layout.width:
        what = "columns apart by other blanks than in the first line"
        reading.bridge(path, what, "read all the same", number)
    return cells


def _counts(width: int, blocks: Sequence[Block]) -> bool:
    """Whether the first of three columns or more counts the words of every sentence from 1."""
    firsts = [[row.cells[0].text for row in block.rows] for block in blocks]
    counted = [[cell for cell in column if cell.isdecimal()] for column in firsts]
    return (
        width > 2
        and any(len(column) > 1 for column in counted)
        and all(
            column == [str(i) for i in range(1, len(column) + 1)]
            and all(re.fullmatch(r"\d+([-.]\d+)?", cell) for cell in first)
            for column, first in zip(counted, firsts, strict=True)
        )
    )


def _by_tabs(line: str) -> list[Cell]:
    return [_stripped(line, *match.span()) for match in re.finditer(r"(?:^|(?<=\t))[^\t]*", line)]


def _by_many_tabs(line: str) -> list[Cell]:
    return [cell for cell in _by_tabs(line) if cell.text]


def _by_blanks(line: str) -> list[Cell]:
    """And not at U+3000, which may be a word."""
    return [Cell(match[0], *match.span()) for match in re.finditer(rf"[^{_BLANK}]+", line)]


def _stripped(line: str, start: int, end: int) -> Cell:
    text = line[start:end].lstrip(_BLANK)
    start = end - len(text)
    text = text.rstrip(_BLANK)
    return Cell(text, start, start + len(text))
