"""A table of measurements: comma-separated text, a row a step of time, a column a feature.

The first line names the columns. They may also be apart by semicolons or tabs, and numbers may then
have decimal commas. The first column, whose name may be empty, is the time: numbers,
dates of any common format, or any texts; they grow from row to row. A field that is empty, or one
of the words that pandas takes for a missing value, such as NaN, NA, null, <NA> and #N/A, or one of
- -- . and ?, was not observed.
"""

import csv
import io
import itertools
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.reading import Reading
from experiments.time_series.impute.times import Order, find_order

_MISSING = {
    *("", "nan", "-nan", "na", "n/a", "<na>", "#na", "#n/a", "#n/a n/a", "null", "none", "nat"),
    *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "missing", "-", "--", ".", "?"),
}
_OTHERS = {";": "semicolons", "\t": "tabs"}  # that columns may be apart by
_QUOTED = re.compile(r'"[^"]*"')
_TEXTS = " These times are compared as texts: write numbers, or dates such as 2016-12-31 23:30."
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+(e[-+]?\d+)?\s*", re.IGNORECASE)


class Table(NamedTuple):
    """What a file holds."""

    names: tuple[str, ...]  # of the features
    times: tuple[str, ...]  # of the rows
    values: np.ndarray  # [T, D] float64, NaN where not observed
    time_name: str = "time"  # of the column of times, "" where it has none

    @property
    def order(self) -> Order:
        """What of a time decides whether it comes before another."""
        return find_order(self.times)


def read_table(path: pathlib.Path, reading: Reading) -> Table:
    """Reads a table, plain or .gz.

    Args:
      path: the file.
      reading: how to read, and where repairs are noted.

    Raises:
      ValueError: names the file and, where there is one, the line, for anything that cannot be
        read: no rows, another number of columns, a field that is no number, times that do not grow,
        or a feature that was never observed.
    """
    lines = _full_lines(path, reading)
    if len(lines) < 2 or len(lines[0].fields) < 2:
        raise ValueError(
            f"{path} holds no table: a line of column names is expected, the time and at least one "
            "feature, and rows below it."
        )
    index, *names = (name.strip() for name in lines[0].fields)
    names = tuple(names)
    rows = [_row(path, *line, names) for line in lines[1:]]
    values = np.array(rows)
    table = Table(names, tuple(line.fields[0].strip() for line in lines[1:]), values, index)
    _require_order(path, table, [line.number for line in lines[1:]], reading)
    for name, column in zip(names, values.T, strict=True):
        if np.isnan(column).all():
            raise ValueError(f"{path}: {name} has no observed value; leave the column out.")
    return table


class _Line(NamedTuple):
    number: int
    fields: list[str]


def _is_empty(line: _Line) -> bool:
    return not any(field.strip() for field in line.fields)


def _full_lines(path: pathlib.Path, reading: Reading) -> list[_Line]:
    """The lines of a table, cut at what its columns are separated by."""
    text = reading.text(path)
    delimiter = _delimiter_of(text)
    if delimiter in _OTHERS:
        reading.remark(path, f"its columns are separated by {_OTHERS[delimiter]}")
    reader = csv.reader(text.split("\n"), delimiter=delimiter)
    lines, before = [], 0
    try:
        for fields in reader:
            lines.append(_Line(before + 1, fields))
            before = reader.line_num
    except csv.Error as error:  # a carriage return within a field, a field of 100 KB
        raise ValueError(f"{path}, line {reader.line_num}: {error}.") from error
    full = [line for line in lines if not _is_empty(line)]
    for line in lines:
        if _is_empty(line) and full and line.number < full[-1].number:
            reading.repaired(path, "an empty line", "left out", line.number)
    if delimiter == ",":
        return full
    return [_with_points(path, line, reading) for line in full]


def _delimiter_of(text: str) -> str:
    """What separates columns: it divides the first two full lines into as many fields each.

    A name may contain a comma, and so may a number.
    """
    head = [line for line in text.split("\n") if line.strip()][:2]
    for mark in (*_OTHERS, ","):
        counts = {len(_QUOTED.sub("", line).split(mark)) for line in head}
        if len(counts) == 1 and counts != {1}:
            return mark
    return next((mark for mark in (",", *_OTHERS) if mark in "".join(head[:1])), ",")


def _with_points(path: pathlib.Path, line: _Line, reading: Reading) -> _Line:
    """A line with decimal points for the commas of its numbers."""
    fields = [
        field.replace(",", ".") if _DECIMAL_COMMA.fullmatch(field) else field
        for field in line.fields
    ]
    if fields != line.fields:
        reading.remark(path, "its numbers have decimal commas")
    return line._replace(fields=fields)


def _row(
    path: pathlib.Path, number: int, fields: Sequence[str], names: Sequence[str]
) -> list[float]:
    if len(fields) != len(names) + 1:
        raise ValueError(
            f"{path}, line {number}: {len(fields)} field(s) where the first line names "
            f"{len(names) + 1}."
        )
    return [
        _value(path, number, name, field) for name, field in zip(names, fields[1:], strict=True)
    ]


def _value(path: pathlib.Path, number: int, name: str, field: str) -> float:
    if field.strip().lower() in _MISSING:
        return np.nan
    try:
        value = float(field)
    except ValueError:
        value = np.inf
    if np.isinf(value):
        advice = " Decimal commas need columns that are separated by semicolons or tabs."
        raise ValueError(
            f"{path}, line {number}: {name} is {field!r}, which is no number."
            f"{advice if _DECIMAL_COMMA.fullmatch(field) else ''}"
        )
    return value


def _require_order(
    path: pathlib.Path, table: Table, numbers: Sequence[int], reading: Reading
) -> None:
    for number, time in zip(numbers, table.times, strict=True):
        if not time:
            raise ValueError(f"{path}, line {number}: the first column, the time, is empty.")
    order = table.order
    if order.doubt:
        reading.remark(path, order.doubt)
    keys = map(order.key, table.times)
    for number, (before, time), pair in zip(
        numbers[1:], itertools.pairwise(table.times), itertools.pairwise(keys), strict=True
    ):
        if not pair[0] < pair[1]:
            raise ValueError(
                f"{path}, line {number}: {time!r} does not come after {before!r}. The first column "
                "must be the time of each row, oldest first: write the table with its index."
                f"{_TEXTS if order.kind == 'texts' else ''}"
            )


def write_line(fields: Sequence[str]) -> str:
    """A line of a table, as `read_table` reads it.

    Example:
      >>> write_line(["time", "CO, mg/m3", "T"])
      'time,"CO, mg/m3",T'
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def write_fields(values: np.ndarray, filled: np.ndarray) -> Iterator[str]:
    """The values of a row as texts: those filled in with six digits, others with all they had."""
    for value, is_filled in zip(values.tolist(), filled, strict=True):
        yield f"{value:.6g}" if is_filled else repr(value)
