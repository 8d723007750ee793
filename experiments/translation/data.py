"""Pairs of sentences: columns of one file, or the lines of two parallel files, plain or gzipped.

Columns are divided by tabs: `source, target` and whatever stands behind (as in the files of
manythings.org/anki), or `split, source, target` and whatever stands behind. Numbers of sentences
and codes of languages (as tatoeba.org gives them: id, text, id, text) are passed over.
"""

import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from experiments.runner.data.parts import Part, fill_parts, part_of_name, read_parts
from experiments.runner.data.reading import Reading
from experiments.translation.config import TranslationConfig

_HEAD = {"source", "src", "target", "tgt", "trg", "translation", "split", "part"}
_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z]+)?")
_FEWEST = 3  # rows in which a column of one code of a language is no column of sentences


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str

    @property
    def reversed(self) -> "Pair":
        """The other way round."""
        return Pair(self.target, self.source)


def read_columns(path: pathlib.Path, reading: Reading) -> dict[str | None, list[Pair]]:
    """Reads the pairs of a file of columns by the name of their part, None without parts.

    Pairs with an empty side are left out, and that is reported.

    Raises:
      ValueError: names the file and the line of what cannot be read.
    """
    rows = [
        (number, [cell.strip() for cell in line.split("\t")])
        for number, line in enumerate(reading.lines(path), start=1)
        if line.strip()
    ]
    if rows and len(_HEAD & {cell.lower() for cell in rows[0][1]}) > 1:
        reading.repaired(path, "a header line", "left out", rows[0][0])
        rows = rows[1:]
    if not rows:
        raise ValueError(f"{path} is empty: there is no pair of sentences in it.")
    split = part_of_name(rows[0][1][0]) is not None and len(rows[0][1]) > 2
    sides = _sides(path, [cells for _, cells in rows], split, reading)
    parts: dict[str | None, list[Pair]] = {}
    for number, cells in rows:
        if len(cells) <= max(sides):
            raise ValueError(
                f"{path}, line {number}: {len(cells)} tab-separated column(s), but source and "
                f"target are in columns {sides[0] + 1} and {sides[1] + 1}."
            )
        part = part_of_name(cells[0]) if split else None
        if split and part is None:
            raise ValueError(f"{path}, line {number}: {cells[0]!r} is not train, dev or test.")
        pair = _pair(*(cells[side] for side in sides))
        if pair:
            parts.setdefault(part, []).append(pair)
        else:
            reading.repaired(path, "an empty sentence", "its pair is left out", number)
    if not parts:
        raise ValueError(f"{path} has no pair of sentences of which neither is empty.")
    return parts


def _sides(
    path: pathlib.Path, rows: Sequence[Sequence[str]], split: bool, reading: Reading
) -> tuple[int, int]:
    """The columns of source and target: the first two that hold sentences."""
    width = min(len(cells) for cells in rows)
    places = [place for place in range(width) if place >= split]
    sentences = [place for place in places if not _is_name([cells[place] for cells in rows])]
    if len(sentences) < 2 or len(places) < 3:
        return int(split), int(split) + 1
    source, target = sentences[:2]
    if (source, target) != (int(split), int(split) + 1):
        reading.remark(
            path,
            f"sentences in columns {source + 1} and {target + 1}; the others hold numbers or codes",
        )
    return source, target


def _is_name(cells: Sequence[str]) -> bool:
    """Whether a column holds numbers of sentences, or the code of one language."""
    numbers = all(cell.isdecimal() for cell in cells)
    codes = len({*cells}) == 1 and _LANGUAGE.fullmatch(cells[0]) is not None
    return numbers or (codes and len(cells) >= _FEWEST)


def read_parallel(source: pathlib.Path, target: pathlib.Path, reading: Reading) -> list[Pair]:
    """Reads two files of which each line is the translation of the same line of the other.

    Pairs with an empty side are left out, and that is reported.

    Raises:
      ValueError: if the numbers of lines differ, or there is no pair.
    """
    sides = [reading.lines(path) for path in (source, target)]
    full = (n for side in sides for n, line in enumerate(side, start=1) if line.strip())
    written = max(full, default=0)
    if written > min(map(len, sides)):  # what is missing in one is more than blank lines
        raise ValueError(
            f"{source} has {len(sides[0]):,} lines and {target} has {len(sides[1]):,}: of two "
            "parallel files each line must be the translation of the same line of the other."
        )
    pairs = list(_pairs(source, target, [side[:written] for side in sides], reading))
    if not pairs:
        raise ValueError(f"{source} and {target} are empty: there is no pair of sentences.")
    return pairs


def _pairs(
    source: pathlib.Path, target: pathlib.Path, sides: Sequence[Sequence[str]], reading: Reading
) -> Iterator[Pair]:
    for number, sentences in enumerate(zip(*sides, strict=True), start=1):
        pair = _pair(*sentences)
        if pair:
            yield pair
        else:
            path = target if sentences[0].strip() else source
            reading.repaired(path, "an empty line", "its pair is left out", number)


def _pair(source: str, target: str) -> Pair | None:
    """A pair, None if a side is empty."""
    pair = Pair(source.strip(), target.strip())
    return pair if all(pair) else None


def read_pairs(config: TranslationConfig, reading: Reading) -> dict[Part, list[Pair]]:
    """The pairs of a run, by part; a part that is not there is split off by the source sentences.

    Raises:
      ValueError: names what cannot be read, or is too little to be split.
    """

    def key(pair: Pair) -> str:
        return pair.source

    if config.source is None:
        parts = read_parts(
            config.data,
            None,
            None,
            read=lambda path: read_columns(path, reading),
            key=key,
            reading=reading,
        )
    else:
        given = {
            part: read_parallel(*files, reading) for part, files in config.parallel_files.items()
        }
        parts = fill_parts(config.source, given, key=key, reading=reading)
    if config.reverse:
        return {part: [pair.reversed for pair in pairs] for part, pairs in parts.items()}
    return parts
