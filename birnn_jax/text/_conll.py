"""Sentences of a CoNLL file: the words, and what stands beside them."""

import os
import pathlib
from collections.abc import Sequence

from ._columns import Block, ColumnFile, read_columns
from ._reading import Reading, warned_of

_WORD = "FORM"


def read_conll(
    path: str | os.PathLike[str],
    *,
    columns: Sequence[int | str] = (_WORD, -1),
    part: str | None = None,
    reading: Reading | None = None,
) -> list[tuple[tuple[str, ...], ...]]:
    """Reads the sentences of a file of columns, as in CoNLL-2003 or CoNLL-U, plain or .gz.

    A word is a line, columns stand apart by tabs or by blanks, and a blank line ends a sentence.
    Comments, -DOCSTART- lines, and the ranges and empty nodes of CoNLL-U are passed over.

    Args:
      path: the file.
      columns: those wanted, by position (negative ones from the end) or by the names that CoNLL-U
        and CoNLL-U Plus have, such as "UPOS". "FORM" is the word in any file. Other files than
        CoNLL-U have the tags in their last column, -1.
      part: of a file in which `# split = train` begins a part; None is the whole file.
      reading: how to read, and where repairs are noted; None reads UTF-8 and warns of repairs.

    Returns:
      For each sentence a tuple of its columns, each with one string for every word.

    Raises:
      ValueError: names the file and, where there is one, the line, for what cannot be read, a
        column that is missing or empty, or a part that is not there.

    Example:
      >>> import pathlib, tempfile
      >>> from birnn_jax.text import read_conll
      >>> path = pathlib.Path(tempfile.mkdtemp(), "a.txt")
      >>> _ = path.write_text("EU B-ORG\\nrejects O\\n\\nPeter B-PER\\n")
      >>> for words, tags in read_conll(path):
      ...     print(words, tags)
      ('EU', 'rejects') ('B-ORG', 'O')
      ('Peter',) ('B-PER',)
    """
    path = pathlib.Path(path)
    with warned_of(reading) as used:
        file = read_columns(path, used)
    places = [_place(file, column) for column in columns]
    blocks = [block for block in file.blocks if part in (None, block.part)]
    if not blocks:
        found = sorted({str(block.part) for block in file.blocks if block.part})
        said = f"it has {', '.join(found)}" if found else "no line of it is # split = ..."
        raise ValueError(f"{path} has no part {part}; {said}.")
    return [_sentence(file, block, places) for block in blocks]


def _place(file: ColumnFile, column: int | str) -> int:
    if column == _WORD:
        return file.word_column
    if isinstance(column, str):
        if column not in file.names:
            named = "its columns have no names; give positions from 0"
            if file.names:
                named = f"its columns are {', '.join(file.names)}"
            raise ValueError(f"{file.path} has no column {column}; {named}.")
        return file.names.index(column)
    if not -file.width <= column < file.width:
        raise ValueError(f"{file.path} has {file.width} columns, but column {column} is wanted.")
    return column


def _sentence(file: ColumnFile, block: Block, places: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    for row in block.rows:
        for place in places:
            if not row.fields[place].text:
                raise ValueError(
                    f"{file.path}, line {row.number}: column {place % file.width} is empty."
                )
    return tuple(tuple(row.fields[place].text for row in block.rows) for place in places)
