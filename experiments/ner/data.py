"""Reads words with the tags of their entities, in columns as in CoNLL, plain or gzipped.

Columns stand apart by tabs, or by blanks where the first line has no tab. A blank line, empty or of
blanks only, ends a sentence. `# split = dev` begins a part of a file that holds several parts; a
line that begins with `# ` and has another number of columns is a comment before a sentence.
"""

import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.console import Console

from birnn_jax.heads import tag_constraints
from experiments.ner.config import Columns, EntityConfig
from experiments.ner.schemes import Scheme, as_bio, complete, first_fault, scheme_of
from experiments.runner.data.files import read_utf8
from experiments.runner.data.parts import Part, read_parts
from experiments.runner.run.progress import teller
from experiments.words.data import Sentence, Vocabulary

_BLANK = " \t\r"
_DOCUMENT = "-DOCSTART-"  # of CoNLL-2003, which stands alone in a sentence


class EntityFile(NamedTuple):
    """What a file holds: sentences by the name of their part (None without parts), and scheme."""

    parts: dict[str | None, list[Sentence]]
    scheme: Scheme


class _Block(NamedTuple):
    """The lines of a sentence, each with its number and columns; no rows in an empty sentence."""

    part: str | None
    numbers: list[int]
    rows: list[list[str]]


def read_entities(
    path: pathlib.Path,
    columns: Columns,
    scheme: Scheme | None,
    say: Callable[[str], None],
) -> EntityFile:
    """Reads a file.

    Args:
      path: the file.
      columns: where word and tag stand.
      scheme: None is found out from the letters of the tags. IOB1 is read as BIO.
      say: is told, in a sentence, what was left out.

    Raises:
      ValueError: names the file and, where there is one, the line, for what cannot be read: no
        sentence at all, another number of columns, an empty word or tag, a tag that is not of the
        scheme or may not stand where it stands, broken gzip, bytes that are not UTF-8.
    """
    blocks = _read_blocks(path, columns, say)
    scheme = scheme or scheme_of([row[columns.tag] for block in blocks for row in block.rows])
    _refuse_foreign_tags(path, blocks, columns, scheme)
    parts: dict[str | None, list[Sentence]] = {}
    for block in blocks:
        parts.setdefault(block.part, []).append(_sentence(path, block, columns, scheme))
    return EntityFile(parts, "BIO" if scheme == "IOB1" else scheme)


def read_answers(
    path: pathlib.Path, columns: Columns, say: Callable[[str], None]
) -> list[list[str]]:
    """Reads the tags of all sentences of a file, such as the output of a system, as they are.

    Args, Raises: as `read_entities`, but tags may break any scheme.
    """
    blocks = _read_blocks(path, columns, say)
    return [[row[columns.tag] for row in block.rows] for block in blocks]


def _read_blocks(path: pathlib.Path, columns: Columns, say: Callable[[str], None]) -> list[_Block]:
    """The sentences, each word and tag of which is there."""
    lines = read_utf8(path).split("\n")
    split, width = _layout(path, lines, columns)
    blocks = list(_blocks(path, lines, split, width))
    empty = [block.numbers[0] for block in blocks if not block.rows]
    if empty:
        say(f"{path}: {len(empty)} empty sentence(s) left out, the first at line {empty[0]}.")
    blocks = [block for block in blocks if block.rows and not _is_document(block, columns)]
    _refuse_missing(path, blocks, columns)
    return blocks


def _layout(
    path: pathlib.Path, lines: Sequence[str], columns: Columns
) -> tuple[Callable[[str], list[str]], int]:
    """How a line is split into columns, and how many columns there are."""
    first = next((n for n, s in enumerate(lines) if s.strip(_BLANK) and not _may_comment(s)), None)
    if first is None:
        raise ValueError(f"{path} is empty: there is no sentence in it.")
    split = _by_tabs if "\t" in lines[first] else _by_blanks
    width = len(split(lines[first]))
    needed = max(n + 1 if n >= 0 else -n for n in columns)
    if width < max(needed, 2):
        raise ValueError(
            f"{path}, line {first + 1}: {width} column(s), but word and tag are in columns "
            f"{columns.word} and {columns.tag}."
        )
    return split, width


def _by_tabs(line: str) -> list[str]:
    return [column.strip(_BLANK) for column in line.split("\t")]


def _by_blanks(line: str) -> list[str]:
    return re.split(r"[ \t]+", line.strip(_BLANK))  # and not at U+3000, which may be a word


def _may_comment(line: str) -> bool:
    return line.startswith("# ")


def _blocks(
    path: pathlib.Path, lines: Sequence[str], split: Callable[[str], list[str]], width: int
) -> Iterator[_Block]:
    part = None
    numbers, rows = [], []
    end = max(n for n, line in enumerate(lines, start=1) if line.strip(_BLANK))
    for number, line in enumerate([*lines[:end], ""], start=1):
        columns = split(line)
        if not line.strip(_BLANK):
            yield _Block(part, numbers or [number], rows)
            numbers, rows = [], []
        elif not rows and _may_comment(line) and len(columns) != width:
            named = re.fullmatch(r"# split = (\S+)", line.strip(_BLANK))
            part = named[1] if named else part
        elif len(columns) != width:
            raise ValueError(
                f"{path}, line {number}: {len(columns)} column(s) where the lines before have "
                f"{width}."
            )
        else:
            numbers.append(number)
            rows.append(columns)


def _is_document(block: _Block, columns: Columns) -> bool:
    return [row[columns.word] for row in block.rows] == [_DOCUMENT]


def _refuse_missing(path: pathlib.Path, blocks: Sequence[_Block], columns: Columns) -> None:
    if not blocks:
        raise ValueError(f"{path} is empty: there is no sentence in it.")
    for block in blocks:
        for number, row in zip(block.numbers, block.rows, strict=True):
            for name, place in columns._asdict().items():
                if not row[place]:
                    raise ValueError(f"{path}, line {number}: the {name} is missing.")


def _refuse_foreign_tags(
    path: pathlib.Path, blocks: Sequence[_Block], columns: Columns, scheme: Scheme
) -> None:
    seen = set()
    for block in blocks:
        for number, row in zip(block.numbers, block.rows, strict=True):
            tag = row[columns.tag]
            if tag not in seen:
                seen.add(tag)
                try:
                    tag_constraints([tag], scheme="BIO" if scheme == "IOB1" else scheme)
                except ValueError as error:
                    raise ValueError(f"{path}, line {number}: {error}") from None


def _sentence(path: pathlib.Path, block: _Block, columns: Columns, scheme: Scheme) -> Sentence:
    tags = tuple(row[columns.tag] for row in block.rows)
    fault = first_fault(tags, scheme)
    if fault:
        place, why = fault
        advice = ", say --scheme IOB1 if it is that" if scheme == "BIO" else ""
        raise ValueError(
            f"{path}, line {block.numbers[place]}: {why}, which {scheme} does not allow{advice}."
        )
    words = tuple(row[columns.word] for row in block.rows)
    return Sentence(words, as_bio(tags) if scheme == "IOB1" else tags, ())


def with_all_tags(vocabulary: Vocabulary, scheme: Scheme) -> Vocabulary:
    """The vocabulary with every tag that the scheme has for the entities of training."""
    return vocabulary._replace(tags=complete(vocabulary.tags, scheme))


def read_data(config: EntityConfig, console: Console) -> tuple[dict[Part, list[Sentence]], Scheme]:
    """The sentences of each part, and the scheme of their tags, which is that of training."""
    schemes: list[Scheme] = []

    def read(path: pathlib.Path) -> dict[str | None, list[Sentence]]:
        scheme = config.named_scheme or next(iter(schemes), None)
        file = read_entities(path, config.columns, scheme, teller(console))
        schemes.append(file.scheme)
        return file.parts

    return read_parts(config.train, config.dev, config.test, read=read), schemes[0]
