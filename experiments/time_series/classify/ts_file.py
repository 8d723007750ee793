"""Series with labels in the .ts format of the UEA and UCR archives.

Lines of text: `#` begins a comment, `@key value` the header, `@data` ends it. Each line below is
one series: its dimensions, separated by colons, each a list of numbers, and the label last. A value
that was not observed is `?` or NaN.

References:
  Bagnall et al., The UEA multivariate time series classification archive, 2018.
"""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.files import read_utf8

_KEYS = (
    *("problemname", "timestamps", "missing", "univariate", "dimension", "dimensions"),
    *("equallength", "serieslength", "classlabel", "targetlabel", "data"),
)


class Series(NamedTuple):
    """One series and what it is."""

    values: np.ndarray  # [T, D] float32
    label: str


class Header(NamedTuple):
    """What the lines before the data say."""

    labels: tuple[str, ...]
    dimensions: int | None  # None where it is not said
    lines: int  # up to and with @data


def read_ts(path: pathlib.Path) -> list[Series]:
    """Reads a file, plain or .gz.

    Values that are missing at the end of all dimensions are the end of a shorter series; others are
    filled in by straight lines between those observed.

    Raises:
      ValueError: names the file and, where there is one, the line, for anything that cannot be
      read.
    """
    lines = [line.strip() for line in read_utf8(path).split("\n")]
    header = _read_header(path, lines)
    series = []
    for number, line in enumerate(lines[header.lines :], start=header.lines + 1):
        if not line or line.startswith("#"):
            continue
        one = _read_series(f"{path}, line {number}", line, header)
        if series and one.values.shape[1] != series[0].values.shape[1]:
            raise ValueError(
                f"{path}, line {number}: {one.values.shape[1]} dimension(s) where the series "
                f"before have {series[0].values.shape[1]}."
            )
        series.append(one)
    if not series:
        raise ValueError(f"{path} has no series below its @data.")
    return series


def _read_header(path: pathlib.Path, lines: Sequence[str]) -> Header:
    labels, dimensions = None, None
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        key, *words = line.split()
        where, key = f"{path}, line {number}", key.lower().removeprefix("@")
        if not line.startswith("@") or key not in _KEYS:
            raise ValueError(
                f"{where}: {line[:30]!r} where a line of the header, such as @classLabel true a b, "
                "or @data is expected."
            )
        if key == "data":
            if labels is None:
                raise ValueError(f"{where}: the header has no @classLabel before @data.")
            return Header(labels, dimensions, number)
        if key == "classlabel":
            labels = _read_labels(where, words)
        elif key == "dimensions":
            dimensions = _read_count(where, words)
        elif key == "timestamps" and words[:1] == ["true"]:
            raise ValueError(f"{where}: series with time stamps are not read, only regular ones.")
        elif key == "targetlabel":
            raise ValueError(f"{where}: the targets are numbers; classes are needed, @classLabel.")
    raise ValueError(f"{path} has no line @data: it is not a whole .ts file.")


def _read_labels(where: str, words: Sequence[str]) -> tuple[str, ...]:
    if not words or words[0].lower() != "true" or len(words) < 3:
        raise ValueError(f"{where}: @classLabel must be true and name two classes or more.")
    return tuple(words[1:])


def _read_count(where: str, words: Sequence[str]) -> int:
    if len(words) != 1 or not words[0].isdecimal() or int(words[0]) < 1:
        raise ValueError(f"{where}: @dimensions must be one number, at least 1.")
    return int(words[0])


def _read_series(where: str, line: str, header: Header) -> Series:
    *dimensions, label = (part.strip() for part in line.split(":"))
    if label not in header.labels:
        raise ValueError(
            f"{where}: the label {label[:20]!r} is none of @classLabel: {', '.join(header.labels)}."
        )
    if header.dimensions is not None and len(dimensions) != header.dimensions:
        raise ValueError(
            f"{where}: {len(dimensions)} dimension(s) where @dimensions says {header.dimensions}."
        )
    columns = [_read_numbers(where, text) for text in dimensions]
    if len({len(column) for column in columns}) != 1:
        lengths = ", ".join(str(len(column)) for column in columns) or "none"
        raise ValueError(f"{where}: dimensions of unequal length ({lengths}).")
    return Series(_fill(where, np.stack(columns, axis=1)), label)


def _read_numbers(where: str, text: str) -> np.ndarray:
    fields = [field.strip() for field in text.split(",")]
    try:
        numbers = np.array([np.nan if field == "?" else float(field) for field in fields])
    except ValueError:
        raise ValueError(f"{where}: {text[:30]!r} is not a list of numbers.") from None
    if np.isinf(numbers).any():
        raise ValueError(f"{where}: a value is infinite.")
    return numbers


def _fill(where: str, values: np.ndarray) -> np.ndarray:
    """Cuts the end off at which nothing is observed, and draws straight lines through gaps."""
    observed = ~np.isnan(values)
    if not observed.any(axis=0).all():
        number = int(np.argmin(observed.any(axis=0))) + 1
        raise ValueError(f"{where}: dimension {number} has no observed value.")
    length = int(np.flatnonzero(observed.any(axis=1))[-1]) + 1
    steps = np.arange(length)
    columns = [
        np.interp(steps, np.flatnonzero(seen), column[seen])
        for column, seen in zip(values.T, observed.T, strict=True)
    ]
    return np.stack(columns, axis=1).astype(np.float32)
