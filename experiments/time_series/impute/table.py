"""A table of measurements: comma-separated text, a row a step of time, a column a feature.

The first line names the columns. The first column is the time, any text that grows from row to row
as texts are compared, such as 2016-07-01 00:00:00. A field that is empty, or one of nan, na and ?,
was not observed.
"""

import csv
import itertools
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.files import read_utf8
from experiments.runner.run.folder import write_text

_MISSING = ("", "nan", "na", "?")


class Table(NamedTuple):
    """What a file holds."""

    names: tuple[str, ...]  # of the features
    times: tuple[str, ...]  # of the rows
    values: np.ndarray  # [T, D] float64, NaN where not observed


def read_table(path: pathlib.Path) -> Table:
    """Reads a table, plain or .gz.

    Raises:
      ValueError: names the file and, where there is one, the line, for anything that cannot be
        read: no rows, another number of columns, a field that is no number, times that do not grow,
        or a feature that was never observed.
    """
    reader = csv.reader(read_utf8(path).split("\n"))
    try:
        lines = list(reader)
    except csv.Error as error:  # a carriage return within a field, a field of 100 KB
        raise ValueError(f"{path}, line {reader.line_num}: {error}.") from error
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 2 or len(lines[0]) < 2:
        raise ValueError(
            f"{path} holds no table: a line of column names is expected, the time and at least one "
            "feature, and rows below it."
        )
    names = tuple(lines[0][1:])
    rows = [_row(path, number, line, names) for number, line in enumerate(lines[1:], start=2)]
    times = tuple(line[0] for line in lines[1:])
    _require_order(path, times)
    values = np.array(rows)
    for name, column in zip(names, values.T, strict=True):
        if np.isnan(column).all():
            raise ValueError(f"{path}: {name} has no observed value; leave the column out.")
    return Table(names, times, values)


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
        raise ValueError(f"{path}, line {number}: {name} is {field!r}, which is no number.")
    return value


def _require_order(path: pathlib.Path, times: Sequence[str]) -> None:
    for number, (before, time) in enumerate(itertools.pairwise(times), start=3):
        if not before < time:
            raise ValueError(
                f"{path}, line {number}: the time {time!r} does not come after {before!r}."
            )


def write_table(path: pathlib.Path, table: Table) -> None:
    """Writes a table in the format that `read_table` reads."""
    lines = [",".join(("time", *table.names))]
    for time, row in zip(table.times, table.values, strict=True):
        lines.append(",".join((time, *(f"{value:.6g}" for value in row))))
    write_text(path, "\n".join(lines) + "\n")
