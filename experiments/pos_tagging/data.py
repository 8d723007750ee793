"""Reads and writes tagged sentences: CoNLL-U, or columns `form, UPOS[, XPOS]`, plain or gzipped.

A blank line ends a sentence. In a file of columns a comment begins with `# ` and holds no tab, so
that the word `#` stays a word; `# split = dev` begins a part of a file that holds several parts.
"""

import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from experiments.runner.data.files import read_utf8
from experiments.words.data import Sentence

TAG_NAMES = ("upos", "xpos")
_CONLLU_COLUMNS = 10
_SPLIT = re.compile(r"# split = (\S+)$")


class Layout(NamedTuple):
    """Which column of a line holds the word, and which the tag."""

    columns: int
    form: int
    tag: int

    @property
    def is_conllu(self) -> bool:
        """Whether lines are numbered, with multiword tokens and empty nodes between the words."""
        return self.columns == _CONLLU_COLUMNS


def read_sentences(path: pathlib.Path, tags: str, split: str) -> list[Sentence]:
    """Reads the sentences of one file.

    Args:
      path: the file. With `# split` lines only the part named `split` is read, else all of it.
      tags: "upos" or "xpos", the column to read.
      split: "train", "dev" or "test".

    Raises:
      ValueError: names the file and, where there is one, the line, for anything that cannot be
        read: no sentence at all, a missing or empty column, an empty sentence, broken gzip, bytes
        that are not UTF-8.
    """
    lines = read_utf8(path).split("\n")
    layout = _layout(path, lines, tags)
    parts: dict[str | None, list[Sentence]] = {}
    part = None
    for number, block in _blocks(path, lines):
        named = [match[1] for match in map(_SPLIT.match, block) if match]
        part = named[-1] if named else part
        parts.setdefault(part, []).append(_sentence(path, number, block, layout, tags))
    if set(parts) == {None}:
        return parts[None]
    if split not in parts:
        found = ", ".join(str(name) for name in parts)
        raise ValueError(f'{path} has no sentence after "# split = {split}"; it has {found}.')
    return parts[split]


def retag(sentence: Sentence, tags: Sequence[str], kind: str) -> list[str]:
    """The lines of a sentence with other tags in the column of `kind`, all else as it was."""
    layout = next(_layout_of(line, kind) for line in sentence.lines if not _is_comment(line))
    remaining = iter(tags)
    return [_retag_line(line, layout, remaining) for line in sentence.lines]


def _retag_line(line: str, layout: Layout, tags: Iterator[str]) -> str:
    if not _is_word(line, layout):
        return line
    columns = line.split("\t")
    columns[layout.tag] = next(tags)
    return "\t".join(columns)


def _is_comment(line: str) -> bool:
    return line.startswith("# ") and "\t" not in line


def _layout_of(line: str, tags: str) -> Layout:
    columns = line.count("\t") + 1
    if columns == _CONLLU_COLUMNS:
        return Layout(columns, form=1, tag=3 + TAG_NAMES.index(tags))
    return Layout(columns, form=0, tag=1 + TAG_NAMES.index(tags))


def _layout(path: pathlib.Path, lines: Sequence[str], tags: str) -> Layout:
    for number, line in enumerate(lines, start=1):
        if line and not _is_comment(line):
            layout = _layout_of(line, tags)
            if layout.columns not in (2, 3, _CONLLU_COLUMNS) or layout.tag >= layout.columns:
                raise ValueError(
                    f"{path}, line {number}: {layout.columns} tab-separated column(s), but reading "
                    f"{tags} takes {layout.tag + 1} or the 10 of CoNLL-U."
                )
            return layout
    raise ValueError(f"{path} is empty: there is no sentence in it.")


def _blocks(path: pathlib.Path, lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields runs of lines between blank lines, each with the number of its first line."""
    start = 0
    end = len(lines)
    while end and not lines[end - 1]:
        end -= 1
    for index in range(end + 1):
        if index < end and lines[index]:
            continue
        if all(map(_is_comment, lines[start:index])):
            raise ValueError(f"{path}, line {index + 1}: an empty sentence, no word before it.")
        yield start + 1, list(lines[start:index])
        start = index + 1


def _is_word(line: str, layout: Layout) -> bool:
    if layout.is_conllu and not _is_comment(line):
        return line.split("\t")[0].isdecimal()
    return not _is_comment(line)


def _sentence(
    path: pathlib.Path, first: int, block: list[str], layout: Layout, tags: str
) -> Sentence:
    words, labels = [], []
    for number, line in enumerate(block, start=first):
        if not _is_comment(line) and line.count("\t") + 1 != layout.columns:
            raise ValueError(
                f"{path}, line {number}: {line.count(chr(9)) + 1} column(s) where the lines "
                f"before have {layout.columns}."
            )
        if _is_word(line, layout):
            columns = line.split("\t")
            words.append(_filled(columns[layout.form], "word", path, number))
            labels.append(_filled(columns[layout.tag], f"{tags} tag", path, number))
    if not words:
        raise ValueError(f"{path}, line {first}: an empty sentence, no word in it.")
    return Sentence(tuple(words), tuple(labels), tuple(block))


def _filled(value: str, what: str, path: pathlib.Path, number: int) -> str:
    if not value.strip() or (value == "_" and what != "word"):
        raise ValueError(f"{path}, line {number}: the {what} is missing.")
    return value
