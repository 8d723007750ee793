"""Reads and writes tagged sentences: CoNLL-U, CoNLL-U Plus, or columns `form, UPOS[, XPOS]`."""

import functools
import pathlib
from collections.abc import Sequence
from typing import Literal

from birnn_jax.text import Block, ColumnFile, Field, read_columns
from experiments.runner.data.parts import Part, named_part, read_parts
from experiments.runner.data.reading import Reading
from experiments.words.data import Sentence

Tags = Literal["upos", "xpos"]
TAG_NAMES = ("upos", "xpos")


def read_data(
    train: pathlib.Path,
    dev: pathlib.Path | None,
    test: pathlib.Path | None,
    *,
    tags: Tags,
    reading: Reading,
) -> dict[Part, list[Sentence]]:
    """The sentences of each part: see `runner.data.parts`."""
    read = functools.partial(read_tagged, tags=tags, reading=reading)
    return read_parts(
        train, dev, test, read=read, key=lambda sentence: " ".join(sentence.words), reading=reading
    )


def read_sentences(path: pathlib.Path, tags: Tags, part: Part, reading: Reading) -> list[Sentence]:
    """The sentences of a part of a file; all of a file without parts."""
    return named_part(path, read_tagged(path, tags, reading), part)


def read_tagged(
    path: pathlib.Path, tags: Tags, reading: Reading
) -> dict[str | None, list[Sentence]]:
    """Reads the sentences of a file, by the name of their part, None for a file without parts.

    Args:
      path: the file.
      tags: "upos" or "xpos", the column to read.
      reading: how to read, and where repairs are reported.

    Raises:
      ValueError: names the file and, where there is one, the line, for anything that cannot be
        read: what `read_columns` refuses, and a missing or empty column.
    """
    file = read_columns(path, reading)
    form, tag = _places(file, tags)
    parts: dict[str | None, list[Sentence]] = {}
    for block in file.blocks:
        sentence = _sentence(path, block, form, tag, tags)
        parts.setdefault(block.part, []).append(sentence)
    return parts


def tags_of(sentences: Sequence[Sentence]) -> set[str]:
    """The tags that sentences have."""
    return {tag for sentence in sentences for tag in sentence.tags}


def retag(sentence: Sentence, tags: Sequence[str]) -> list[str]:
    """The lines of a sentence with other tags where its own stand, all else as it was."""
    lines = list(sentence.lines)
    for (place, start, end), tag in zip(sentence.places, tags, strict=True):
        lines[place] = lines[place][:start] + tag + lines[place][end:]
    return lines


def _places(file: ColumnFile, tags: Tags) -> tuple[int, int]:
    """The columns of the word and of its tag."""
    number = file.blocks[0].rows[0].number
    if file.names:
        missing = [name for name in ("FORM", tags.upper()) if name not in file.names]
        if missing:
            raise ValueError(
                f"{file.path} has no column {missing[0]}; its columns are {', '.join(file.names)}."
            )
        return file.names.index("FORM"), file.names.index(tags.upper())
    form = file.word_column
    tag = form + 1 + TAG_NAMES.index(tags)
    if not tag < file.width <= form + 3:
        raise ValueError(
            f"{file.path}, line {number}: {file.width} columns, but reading {tags} takes "
            f"{tag + 1} ({'ID, ' * file.numbered}FORM, UPOS[, XPOS]), or the 10 of CoNLL-U."
        )
    return form, tag


def _sentence(path: pathlib.Path, block: Block, form: int, tag: int, tags: Tags) -> Sentence:
    for row in block.rows:
        for field, what in ((row.fields[form], "word"), (row.fields[tag], f"{tags} tag")):
            if not field.text or (field.text == "_" and what != "word"):
                raise ValueError(f"{path}, line {row.number}: the {what} is missing.")
    words, labels = ([row.fields[i].text for row in block.rows] for i in (form, tag))
    places = tuple(_place(row.place, row.fields[tag]) for row in block.rows)
    return Sentence(tuple(words), tuple(labels), block.lines, places)


def _place(line: int, field: Field) -> tuple[int, int, int]:
    return line, field.start, field.end
