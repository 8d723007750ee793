"""Series with labels in the .ts format of the UEA and UCR archives.

Lines of text: `#` or `%` begins a comment, `@key value` the header, `@data` ends it. Each line
below is one series: its dimensions, separated by colons, each a list of numbers, or of pairs (time,
number), and the label last. A value that was not observed is `?` or NaN.

References:
  Bagnall et al., The UEA multivariate time series classification archive, 2018.
"""

import datetime
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.reading import Reading

_COMMENT = ("#", "%")
_COLON = re.compile(r":(?![^()]*\))")  # and not within the times of a pair
_PAIR = re.compile(r"\(([^,()]+),([^,()]+)\)")
_KEYS = (
    *("problemname", "timestamps", "missing", "univariate", "dimension", "dimensions"),
    *("equallength", "serieslength", "classlabel", "targetlabel", "data"),
)


class Series(NamedTuple):
    """One series and what it is."""

    values: np.ndarray  # [T, D] float32; NaN in all of a dimension that was not observed
    label: str


class Header(NamedTuple):
    """What the lines before the data say."""

    labels: tuple[str, ...] | None  # None where they are not looked at
    dimensions: int | None  # None where it is not said
    lines: int  # up to and with @data


def read_ts(path: pathlib.Path, reading: Reading, *, dimensions: int | None = None) -> list[Series]:
    """Reads a file, plain or .gz.

    Values that are missing at the end of all dimensions are the end of a shorter series; others are
    filled in by straight lines between those observed. Series with times come to as many regular
    steps from their first time to their last. A dimension of which nothing was observed stays
    without values.

    Args:
      path: the file.
      reading: how to read, and where repairs are reported.
      dimensions: of each series, where labels are not looked at and may be missing, as may the
        header; None for series with labels.

    Raises:
      ValueError: names the file and, where there is one, the line, for anything that cannot be
      read.
    """
    lines = [line.strip() for line in reading.lines(path)]
    header = _read_header(path, lines, reading, is_labelled=dimensions is None)
    if dimensions is not None:
        header = header._replace(labels=None, dimensions=dimensions)
    series = []
    for number, line in enumerate(lines[header.lines :], start=header.lines + 1):
        if not line or line.startswith(_COMMENT):
            continue
        example = _read_series(path, number, line, header, reading)
        if series and example.values.shape[1] != series[0].values.shape[1]:
            raise ValueError(
                f"{path}, line {number}: {example.values.shape[1]} dimension(s) where the series "
                f"before have {series[0].values.shape[1]}."
            )
        series.append(example)
    if not series:
        raise ValueError(f"{path} has no series below its @data.")
    return series


def _read_header(
    path: pathlib.Path, lines: Sequence[str], reading: Reading, *, is_labelled: bool
) -> Header:
    labels, dimensions = None, None
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith(_COMMENT):
            continue
        key, *words = line.split()
        where, key = f"{path}, line {number}", key.lower().removeprefix("@")
        if not (is_labelled or line.startswith("@")):
            return Header(None, None, number - 1)
        if line.startswith("@") and key not in _KEYS:
            reading.repaired(path, "an unknown line of the header", "left out", number)
            continue
        if not line.startswith("@"):
            raise ValueError(
                f"{where}: {line[:30]!r} where a line of the header, such as @classLabel true a b, "
                "or @data is expected."
            )
        if key == "data":
            if labels is None and is_labelled:
                raise ValueError(f"{where}: the header has no @classLabel before @data.")
            return Header(labels, dimensions, number)
        if not is_labelled:
            continue
        if key == "classlabel":
            labels = _read_labels(where, words)
        elif key == "dimensions":
            dimensions = _read_count(where, words)
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


def _read_series(
    path: pathlib.Path, number: int, line: str, header: Header, reading: Reading
) -> Series:
    where = f"{path}, line {number}"
    dimensions, label = _split_label(where, line, header)
    if not dimensions:
        raise ValueError(f"{where}: a label and no values before it.")
    if any(text.startswith("(") for text in dimensions):
        what = "a series with times"
        reading.repaired(path, what, "brought to regular steps by straight lines", number)
        columns = _at_regular_steps(where, [_read_pairs(where, text) for text in dimensions])
    else:
        columns = [_read_numbers(where, text) for text in dimensions]
    longest = max(map(len, columns))
    if any(len(column) < longest and not np.isnan(column).all() for column in columns):
        what = "a series with dimensions of unequal length"
        reading.repaired(path, what, "shorter ones keep their last value", number)
    columns = [
        np.pad(column, (0, longest - len(column)), constant_values=np.nan) for column in columns
    ]
    for place, column in enumerate(columns, start=1):
        if np.isnan(column).all():
            what = f"a series without any value of dimension {place}"
            reading.repaired(path, what, "taken for the mean of training", number)
    return Series(_fill(where, np.stack(columns, axis=1)), label)


def _split_label(where: str, line: str, header: Header) -> tuple[list[str], str]:
    """The dimensions of a series, and its label; "" where labels are not looked at."""
    parts = [part.strip() for part in _COLON.split(line)]
    if header.labels is None:
        assert header.dimensions is not None
        if len(parts) not in (header.dimensions, header.dimensions + 1):
            raise ValueError(
                f"{where}: {len(parts)} dimension(s), but the model was trained on series of "
                f"{header.dimensions}."
            )
        return parts[: header.dimensions], ""
    *dimensions, label = parts
    label = _known_label(where, label, header.labels)
    if header.dimensions is not None and len(dimensions) != header.dimensions:
        raise ValueError(
            f"{where}: {len(dimensions)} dimension(s) where @dimensions says {header.dimensions}."
        )
    return dimensions, label


def _known_label(where: str, label: str, labels: Sequence[str]) -> str:
    """The label as the header writes it, 1.0 being 1."""
    if label in labels:
        return label
    same = [name for name in labels if _is_number(name) and _is_number(label)]
    same = [name for name in same if float(name) == float(label)]
    if len(same) != 1:
        raise ValueError(
            f"{where}: the label {label[:20]!r} is none of @classLabel: {', '.join(labels)}."
        )
    return same[0]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d*)?", text) is not None


def _read_pairs(where: str, text: str) -> tuple[np.ndarray, np.ndarray]:
    """Times, in seconds where they are dates, and values."""
    pairs = [match.groups() for match in _PAIR.finditer(text)]
    if text in ("", "?"):
        return np.zeros(0), np.zeros(0)
    if not pairs or _PAIR.sub("", text).strip(", "):
        raise ValueError(f"{where}: {text[:30]!r} is not a list of pairs (time, number).")
    times = np.array([_read_time(where, time.strip()) for time, _ in pairs])
    if (np.diff(times) <= 0).any():
        raise ValueError(f"{where}: times do not grow.")
    return times, _read_numbers(where, ",".join(value for _, value in pairs))


def _read_time(where: str, text: str) -> float:
    try:
        return float(text) if _is_number(text) else _seconds(text)
    except ValueError:
        raise ValueError(f"{where}: {text[:30]!r} is no time.") from None


def _seconds(text: str) -> float:
    time = datetime.datetime.fromisoformat(text)
    return (time - datetime.datetime(1970, 1, 1, tzinfo=time.tzinfo)).total_seconds()


def _at_regular_steps(
    where: str, dimensions: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[np.ndarray]:
    start = min((times[0] for times, _ in dimensions if len(times)), default=0.0)
    end = max((times[-1] for times, _ in dimensions if len(times)), default=0.0)
    steps = np.linspace(start, end, max(len(times) for times, _ in dimensions))
    columns = []
    for times, values in dimensions:
        seen = ~np.isnan(values)
        lines = np.interp(steps, times[seen], values[seen]) if seen.any() else np.nan
        columns.append(np.full(len(steps), lines))
    return columns


def _read_numbers(where: str, text: str) -> np.ndarray:
    fields = [field.strip() for field in text.split(",")] if text else ["?"]
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
    if not observed.any():
        raise ValueError(f"{where}: the series has no observed value.")
    length = int(np.flatnonzero(observed.any(axis=1))[-1]) + 1
    steps = np.arange(length)
    columns = [
        np.interp(steps, np.flatnonzero(seen), column[seen]) if seen.any() else column[:length]
        for column, seen in zip(values.T, observed.T, strict=True)
    ]
    return np.stack(columns, axis=1).astype(np.float32)
