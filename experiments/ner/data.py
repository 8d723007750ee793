"""Reads words with the tags of their entities, in columns as in CoNLL.

Tags are read in any scheme and any case, as names of classes alone too. Tags that break their
scheme are repaired as the scorer of CoNLL-2000 (conlleval) reads them, counted and told.
"""

import pathlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from birnn_jax.text import (
    Block,
    ColumnFile,
    complete_tags,
    convert_tags,
    find_scheme,
    read_columns,
    split_tag,
    tag_faults,
)
from experiments.ner.config import Columns, EntityConfig
from experiments.ner.schemes import OUTSIDE, Scheme, WrittenScheme, target_of
from experiments.runner.data.parts import Part, read_parts
from experiments.runner.data.reading import Reading
from experiments.words.data import Sentence, Vocabulary

_TAG = re.compile(r"[OBIESMLU]|[BIESMLU][-_].+", re.IGNORECASE)
_LETTERS = {"BIO": "BIO", "IOB1": "BIO", "IO": "IO"}
_LETTERS |= {"BIOES": "BIOES", "BILOU": "BILOU", "BMES": "BMESO"}


class EntityFile(NamedTuple):
    """What a file holds: sentences by the name of their part (None without parts), and scheme."""

    parts: dict[str | None, list[Sentence]]
    scheme: Scheme


def read_entities(
    path: pathlib.Path, columns: Columns, scheme: WrittenScheme | None, reading: Reading
) -> EntityFile:
    """Reads a file.

    Args:
      path: the file.
      columns: where word and tag stand.
      scheme: of the tags; None is found out from all of them.
      reading: how to read, and where repairs are reported.

    Raises:
      ValueError: names the file and, where there is one, the line, for what cannot be read: what
        `read_columns` refuses, an empty word or tag, and a tag that is of no scheme.
    """
    file, word, tag = _read(path, columns, reading)
    rows = [[row.fields[tag].text for row in block.rows] for block in file.blocks]
    spell = _spelling(path, {tag for tags in rows for tag in tags}, reading)
    spelled = [[spell(tag) for tag in tags] for tags in rows]
    found = scheme or find_scheme(spelled)
    _refuse_foreign(path, file.blocks, spelled, found)
    target = target_of(found)
    if found != target:
        reading.remark(path, f"tags of {found}, learned as {target}")
    parts: dict[str | None, list[Sentence]] = {}
    for block, tags in zip(file.blocks, spelled, strict=True):
        for place in tag_faults(tags, found):
            number = block.rows[place].number
            what = f"a tag that {found} does not allow where it stands"
            reading.repaired(path, what, "repaired as conlleval reads it", number)
        words = tuple(row.fields[word].text for row in block.rows)
        right = tuple(convert_tags(tags, target))
        parts.setdefault(block.part, []).append(Sentence(words, right, ()))
    return EntityFile(parts, target)


def read_answers(path: pathlib.Path, columns: Columns, reading: Reading) -> list[list[str]]:
    """Reads the tags of all sentences of a file, such as the output of a system, as they are.

    Args, Raises: as `read_entities`, but tags may break any scheme.
    """
    file, _, tag = _read(path, columns, reading)
    return [[row.fields[tag].text for row in block.rows] for block in file.blocks]


def is_tag(text: str) -> bool:
    """Whether a text is written like a tag of some scheme.

    Example:
      >>> [is_tag(text) for text in ("B-PER", "o", "PER", "NN")]
      [True, True, False, False]
    """
    return _TAG.fullmatch(text) is not None


def _read(path: pathlib.Path, columns: Columns, reading: Reading) -> tuple[ColumnFile, int, int]:
    """A file, and where the word and the tag stand in it."""
    file = read_columns(path, reading, lambda fields: any(map(is_tag, fields[1:])))
    word, tag = columns
    if word == 0:
        word = file.word_column
    if tag == -1:
        tag = _tag_column(file, word)
    first = file.blocks[0].rows[0]
    for place in (word, tag):
        if not -file.width <= place < file.width:
            raise ValueError(
                f"{path}, line {first.number}: {file.width} columns, but word and tag are in "
                f"columns {word} and {tag}."
            )
    if (word, tag % file.width) != (columns.word, columns.tag % file.width):
        reading.remark(path, f"words in column {word}, tags in column {tag}; 0 is the first")
    for block in file.blocks:
        for row in block.rows:
            for name, place in (("word", word), ("tag", tag)):
                if not row.fields[place].text:
                    raise ValueError(f"{path}, line {row.number}: the {name} is missing.")
    return file, word, tag


def _tag_column(file: ColumnFile, word: int) -> int:
    """The last column that holds tags only; the last of all if none does."""
    rows = [row for block in file.blocks for row in block.rows]
    for place in range(file.width - 1, word, -1):
        if all(is_tag(row.fields[place].text) for row in rows):
            return place
    return -1


def _spelling(path: pathlib.Path, tags: set[str], reading: Reading) -> Callable[[str], str]:
    """The function that writes the tags of a file in capital letters with a hyphen behind."""
    if not any(len(tag) > 1 and is_tag(tag) for tag in tags) and not all(map(is_tag, tags)):
        reading.remark(path, "tags are names of classes alone, read as inside of an entity")
        return lambda tag: tag.upper() if tag.upper() == OUTSIDE else f"I-{tag}"
    if any(is_tag(tag) and _spelled(tag) != tag for tag in tags):
        reading.remark(path, "tags are in lower case or without a hyphen, read as in B-PER")
    return lambda tag: _spelled(tag) if is_tag(tag) else tag


def _spelled(tag: str) -> str:
    return tag[:1].upper() + ("-" + tag[2:] if tag[2:] else "")


def _refuse_foreign(
    path: pathlib.Path,
    blocks: Sequence[Block],
    sentences: Sequence[Sequence[str]],
    scheme: str,
) -> None:
    for block, tags in zip(blocks, sentences, strict=True):
        for row, tag in zip(block.rows, tags, strict=True):
            letter, mark, entity = tag.partition("-")
            is_whole = (len(letter) == 1 and bool(entity) == bool(mark)) or tag == OUTSIDE
            if letter not in [*_LETTERS[scheme]] or not is_whole or (letter == OUTSIDE and mark):
                raise ValueError(
                    f"{path}, line {row.number}: {tag!r} is no tag of {scheme}. Tags are one of "
                    f"its letters, or a letter and an entity as in B-PER; O has no entity."
                )


def entities_of(sentences: Sequence[Sentence]) -> set[str]:
    """The classes of entities that the tags of sentences name."""
    tags = {tag for sentence in sentences for tag in sentence.tags}
    return {split_tag(tag)[1] for tag in tags if tag != OUTSIDE}


def with_all_tags(vocabulary: Vocabulary, scheme: Scheme) -> Vocabulary:
    """The vocabulary with every tag that the scheme has for the entities of training."""
    return vocabulary._replace(tags=complete_tags(vocabulary.tags, scheme))


def read_data(
    config: EntityConfig, reading: Reading, scheme: Scheme | None = None
) -> tuple[dict[Part, list[Sentence]], Scheme]:
    """The sentences of each part, and the scheme of their tags: `scheme`, or that of training."""
    schemes: list[Scheme] = [] if scheme is None else [scheme]

    def read(path: pathlib.Path) -> dict[str | None, list[Sentence]]:
        file = read_entities(path, config.columns, config.named_scheme, reading)
        schemes.append(file.scheme)
        return in_scheme(file, schemes[0])

    parts = read_parts(
        config.train,
        config.dev,
        config.test,
        read=read,
        key=lambda sentence: " ".join(sentence.words),
        reading=reading,
    )
    return parts, schemes[0]


def in_scheme(file: EntityFile, scheme: Scheme) -> dict[str | None, list[Sentence]]:
    """The sentences of a file with their tags in another scheme."""

    def converted(sentence: Sentence) -> Sentence:
        return sentence._replace(tags=tuple(convert_tags(sentence.tags, scheme)))

    return {part: [*map(converted, sentences)] for part, sentences in file.parts.items()}
