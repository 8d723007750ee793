"""Files of labels and texts, as they are found.

A line is `label<TAB>text` or `text<TAB>label`, `label text`, `__label__x text` as fastText has it,
comma-separated text in quotes (.csv), or `part<TAB>label<TAB>source<TAB>text` for a file that holds
the parts train, dev and test. A header line says what the columns are.
"""

import csv
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from experiments.runner.data.parts import Part, part_of_name
from experiments.runner.data.reading import Reading

_NAMES = {
    "label": "label labels class category sentiment polarity target y intent topic rating stars",
    "text": "text texts sentence sentences review content utterance question phrase tweet comment",
    "part": "part split set subset",
}
_ROLES = {name: role for role, names in _NAMES.items() for name in names.split()}
_FASTTEXT = "__label__"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_FEW = 20  # different labels, which any file may have


class Labelled(NamedTuple):
    """A text with its label, and where it stands."""

    number: int  # of the line
    part: Part | None
    label: str
    text: str


class _Row(NamedTuple):
    number: int
    cells: list[str]


class _Columns(NamedTuple):
    """Which columns are what; texts may stand in several, one after the other."""

    part: int | None
    label: int
    texts: tuple[int, ...]


def read_labelled(path: pathlib.Path, reading: Reading) -> list[Labelled]:
    """Reads the texts of a file that are not empty.

    Args:
      path: the file, plain or gzipped.
      reading: how to read, and where repairs are reported.

    Raises:
      ValueError: names the file and, where there is one, the line, for what cannot be read: no
        text at all, another number of columns, a missing label, an unknown part, no column of
        labels, no text in the encoding.
    """
    lines = reading.lines(path)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise ValueError(f"{path} is empty: there is no text in it.")
    if first.startswith(_FASTTEXT):
        return list(_fasttext(path, lines, reading))
    by_commas = "\t" not in first and (".csv" in path.suffixes or _is_head(_by_comma(first)))
    rows = _comma_rows(path, lines) if by_commas else _line_rows(lines, "\t" in first)
    rows = _without_blank(path, rows, reading)
    named = _is_head(rows[0].cells)
    if named or _stands_out(rows):
        reading.repaired(path, "a header line", "no text of its own", rows[0].number)
    width = len(rows[0].cells)
    names, rows = rows[0].cells, rows[named or _stands_out(rows) :]
    columns = _named(names) if named else _found(path, rows, "\t" in first, by_commas)
    rows = _of_width(path, rows, width, columns, reading)
    if not rows:
        raise ValueError(f"{path} has nothing below its header line.")
    if not named and columns.label > 0 and columns.part is None:
        reading.remark(path, "the label follows the text")
    return list(_labelled(path, rows, columns, reading))


def _fasttext(path: pathlib.Path, lines: Sequence[str], reading: Reading) -> Iterator[Labelled]:
    reading.remark(path, f"labels have the prefix of fastText, {_FASTTEXT}, which is left out")
    for number, line in enumerate(lines, start=1):
        label, _, text = line.strip().partition(" ")
        if not line.strip():
            reading.repaired(path, "an empty line", "left out", number)
        elif not label.removeprefix(_FASTTEXT) or not label.startswith(_FASTTEXT):
            raise ValueError(f"{path}, line {number}: no label such as {_FASTTEXT}good before it.")
        elif text.lstrip().startswith(_FASTTEXT):
            raise ValueError(f"{path}, line {number}: several labels, but a text has one here.")
        elif not text.strip():
            reading.repaired(path, "an empty text", "left out", number)
        else:
            yield Labelled(number, None, label.removeprefix(_FASTTEXT), text.strip())


def _line_rows(lines: Sequence[str], by_tabs: bool) -> list[_Row]:
    def split(line: str) -> list[str]:
        return line.split("\t") if by_tabs else line.split(maxsplit=1)

    cells = (
        _Row(n, [cell.strip() for cell in split(line)]) for n, line in enumerate(lines, start=1)
    )
    return list(cells)


def _comma_rows(path: pathlib.Path, lines: Sequence[str]) -> list[_Row]:
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    rows, before = [], 0
    try:
        for cells in reader:
            rows.append(_Row(before + 1, [" ".join(cell.split()) for cell in cells]))
            before = reader.line_num
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}.") from None
    return rows


def _by_comma(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _without_blank(path: pathlib.Path, rows: Sequence[_Row], reading: Reading) -> list[_Row]:
    full = [row for row in rows if any(row.cells)]
    for row in rows:
        if not any(row.cells) and row.number < full[-1].number:
            reading.repaired(path, "an empty line", "left out", row.number)
    return full


def _is_head(cells: Sequence[str]) -> bool:
    roles = {_ROLES.get(cell.strip().lower()) for cell in cells}
    return {"label", "text"} <= roles


def _named(cells: Sequence[str]) -> _Columns:
    roles = [_ROLES.get(cell.strip().lower()) for cell in cells]
    part = roles.index("part") if "part" in roles else None
    return _Columns(part, roles.index("label"), (roles.index("text"),))


def _stands_out(rows: Sequence[_Row]) -> bool:
    """Whether the first row has a word where all others have a number for a label."""
    heads = [row.cells[0] for row in rows]
    return len(heads) > 2 and heads[0].isalpha() and all(map(str.isdecimal, heads[1:]))


def _found(path: pathlib.Path, rows: Sequence[_Row], by_tabs: bool, by_commas: bool) -> _Columns:
    """What the columns are, from what stands in them."""
    width = len(rows[0].cells)
    if width == 1:
        raise ValueError(
            f"{path}, line {rows[0].number}: one column only, but a label and a text are expected."
        )
    heads = [row.cells[0] for row in rows]
    if width in (3, 4) and part_of_name(heads[0]):
        return _Columns(0, 1, (width - 1,))
    if width > 2 and not by_commas:
        raise ValueError(
            f"{path}, line {rows[0].number}: {width} tab-separated columns, but a line is label "
            "and text, or part, label, source and text. Name the columns in a first line, such as "
            "id<TAB>text<TAB>label."
        )
    whole = [row.cells for row in rows if len(row.cells) == width]
    ends = [[cells[place] for cells in whole] for place in (0, -1)]
    if (by_tabs or by_commas) and _swapped(*ends):
        return _Columns(None, width - 1, tuple(range(width - 1)))
    if not _may_be_labels(ends[0]):
        raise ValueError(
            f"{path} has {len({*ends[0]})} labels in {len(whole)} lines: is there a column of "
            "labels, and is it the first or the last?"
        )
    return _Columns(None, 0, tuple(range(1, width)))


def _swapped(first: Sequence[str], last: Sequence[str]) -> bool:
    """Whether the last column holds the labels, and not the first."""
    if not _may_be_labels(last):
        return False
    blanks = [any(" " in cell for cell in column) for column in (first, last)]
    looks = blanks == [True, False] and len({*last}) <= len({*first})
    return looks or not _may_be_labels(first)


def _may_be_labels(cells: Sequence[str]) -> bool:
    distinct = len({*cells})
    return distinct <= _FEW or distinct <= len(cells) / 2


def _of_width(
    path: pathlib.Path, rows: Sequence[_Row], width: int, columns: _Columns, reading: Reading
) -> list[_Row]:
    """Rows with as many cells as there are columns."""
    labels = {row.cells[columns.label] for row in rows if len(row.cells) == width}
    fitting = []
    for number, cells in rows:
        last_is_text = columns.texts[-1] == width - 1
        if len(cells) > width and last_is_text and width > 1:
            reading.repaired(path, "a separator within a text", "read as a blank", number)
            cells = [*cells[: width - 1], " ".join(cells[width - 1 :])]
        if width == 2 and len(cells) == 1 and cells[0] in labels:
            cells = [cells[0], ""] if columns.label == 0 else ["", cells[0]]
        if len(cells) != width:
            raise ValueError(
                f"{path}, line {number}: {len(cells)} column(s) where the lines before have "
                f"{width}."
            )
        fitting.append(_Row(number, cells))
    return fitting


def _labelled(
    path: pathlib.Path, rows: Sequence[_Row], columns: _Columns, reading: Reading
) -> Iterator[Labelled]:
    quoted = all(_QUOTED.fullmatch(row.cells[columns.texts[-1]]) for row in rows) and len(rows) > 1
    if quoted:
        reading.remark(path, "every text is in quotes, which are left out")
    for number, cells in rows:
        part = None if columns.part is None else part_of_name(cells[columns.part])
        if columns.part is not None and part is None:
            name = cells[columns.part]
            raise ValueError(f"{path}, line {number}: {name!r} is none of train, dev, test.")
        if not cells[columns.label]:
            raise ValueError(f"{path}, line {number}: the label is missing.")
        texts = [cells[place] for place in columns.texts]
        if quoted:
            texts[-1] = texts[-1][1:-1].replace('""', '"')
        text = " ".join(filter(None, texts))
        if not text:
            reading.repaired(path, "an empty text", "left out", number)
        else:
            yield Labelled(number, part, cells[columns.label], text)
