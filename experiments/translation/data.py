"""Pairs of sentences: columns of one file, or the lines of two parallel files, plain or gzipped.

Columns are divided by tabs: `source, target` and whatever stands behind (as in the files of
manythings.org/anki), or `split, source, target` and whatever stands behind. Without splits, one
pair of ten is for test and one for dev, by a digest of the source sentence, so that no source
sentence is in two parts.
"""

import hashlib
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console

from experiments.runner.data.files import read_utf8
from experiments.translation.config import TranslationConfig

PARTS = ("train", "dev", "test")


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str

    @property
    def reversed(self) -> "Pair":
        """The other way round."""
        return Pair(self.target, self.source)


def read_columns(path: pathlib.Path) -> dict[str, list[Pair]]:
    """Reads the pairs of a file of columns, by part.

    Raises:
      ValueError: names the file and the line of what cannot be read.
    """
    lines = [(n, line) for n, line in enumerate(read_utf8(path).split("\n"), 1) if line.strip()]
    if not lines:
        raise ValueError(f"{path} is empty: there is no pair of sentences in it.")
    has_split = lines[0][1].split("\t")[0] in PARTS
    parts: dict[str, list[Pair]] = {name: [] for name in PARTS}
    for number, line in lines:
        cells = line.split("\t")
        if len(cells) < 2 + has_split:
            raise ValueError(
                f"{path}, line {number}: {len(cells)} tab-separated column(s), but "
                f"{'split, ' if has_split else ''}source and target are needed."
            )
        part = cells[0] if has_split else part_of(cells[0])
        if part not in PARTS:
            raise ValueError(f"{path}, line {number}: {part!r} is not train, dev or test.")
        source, target = cells[has_split], cells[has_split + 1]
        parts[part].append(_pair(source, target, f"{path}, line {number}"))
    return parts


def read_parallel(source: pathlib.Path, target: pathlib.Path) -> list[Pair]:
    """Reads two files of which each line is the translation of the same line of the other.

    Pairs of which both are empty are left out, and said.

    Raises:
      ValueError: if the numbers of lines differ, or one sentence of a pair is empty.
    """
    sides = [read_utf8(path).removesuffix("\n").split("\n") for path in (source, target)]
    if len(sides[0]) != len(sides[1]):
        raise ValueError(
            f"{source} has {len(sides[0]):,} lines and {target} has {len(sides[1]):,}: of two "
            "parallel files each line must be the translation of the same line of the other."
        )
    numbered = list(enumerate(zip(*sides, strict=True), start=1))
    kept = [(n, pair) for n, pair in numbered if any(side.strip() for side in pair)]
    if not kept:
        raise ValueError(f"{source} and {target} are empty: there is no pair of sentences.")
    if len(kept) < len(numbered):
        Console(stderr=True).print(
            f"{source}, {target}: {len(numbered) - len(kept)} empty lines are left out.",
            highlight=False,
        )
    place = f"{source} and {target}, line"
    return [_pair(one, other, f"{place} {n}") for n, (one, other) in kept]


def divide(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Pairs by part, by their source sentences."""
    parts: dict[str, list[Pair]] = {name: [] for name in PARTS}
    for pair in pairs:
        parts[part_of(pair.source)].append(pair)
    return parts


def part_of(source: str) -> str:
    """The part of a pair that has none.

    Example:
      >>> part_of("Hello."), part_of("Hello.")
      ('train', 'train')
    """
    digit = int(hashlib.sha1(source.strip().encode()).hexdigest(), 16) % 10
    return {0: "test", 1: "dev"}.get(digit, "train")


def _pair(source: str, target: str, place: str) -> Pair:
    for side, sentence in (("source", source), ("target", target)):
        if not sentence.strip():
            raise ValueError(f"{place}: the {side} sentence is empty.")
    return Pair(source.strip(), target.strip())


def read_pairs(config: TranslationConfig) -> dict[str, list[Pair]]:
    """The pairs of a run, by part.

    Raises:
      ValueError: names what cannot be read, or the part in which there is no pair.
    """
    if config.source is None:
        parts = read_columns(config.data)
    elif config.dev_source is None:
        parts = divide(read_parallel(config.source, _given(config.target)))
    else:
        names = {"train": "", "dev": "dev_", "test": "test_"}
        files = {
            part: [_given(getattr(config, f"{name}{side}")) for side in ("source", "target")]
            for part, name in names.items()
        }
        parts = {part: read_parallel(*paths) for part, paths in files.items()}
    for part in PARTS:
        if not parts[part]:
            raise ValueError(f"There is no pair of sentences for {part}.")
    if config.reverse:
        parts = {part: [pair.reversed for pair in pairs] for part, pairs in parts.items()}
    return parts


def _given(path: pathlib.Path | None) -> pathlib.Path:
    """A path that `__post_init__` has seen to be given."""
    assert path is not None
    return path
