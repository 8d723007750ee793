"""Reads sentences with a label, and splits them into words.

A line is `label<TAB>text`, or `label text` where the first line has no tab, or `part<TAB>label<TAB>
source<TAB>text` for a file that holds the parts train, dev and test. Plain or gzipped.
"""

import collections
import functools
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console

from experiments.runner.data.files import read_utf8
from experiments.runner.data.parts import Part, folds, held_out, read_parts
from experiments.runner.run.progress import teller
from experiments.sentiment.config import TextConfig
from experiments.words.data import Encoder, Vocabulary

# Words, "n't" and "'s" apart as in the Penn Treebank, runs of one mark, Chinese and Japanese
# characters one by one.
_HAN = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_QUOTE = r"['\u2019]"
_WORD = re.compile(
    rf"[{_HAN}]|\w+(?=n{_QUOTE}t\b)|n{_QUOTE}t\b|{_QUOTE}(?:s|m|d|re|ve|ll)\b|[^\W{_HAN}]+"
    r"|([^\w\s])\1*"
)
_PARTS = ("train", "dev", "test")


class Text(NamedTuple):
    """A sentence, its words, and its label."""

    text: str
    words: tuple[str, ...]
    label: str


def split_text(text: str) -> tuple[str, ...]:
    """The words of a text.

    Example:
      >>> split_text("It doesn't work!!! 不好")
      ('It', 'does', "n't", 'work', '!!!', '不', '好')
    """
    return tuple(match[0] for match in _WORD.finditer(text))


def read_texts(path: pathlib.Path, say: Callable[[str], None]) -> dict[str | None, list[Text]]:
    """Reads a file: its texts by the name of their part, None for a file without parts.

    Args:
      path: the file.
      say: is told, in a sentence, what was left out.

    Raises:
      ValueError: names the file and, where there is one, the line, for what cannot be read: no
        text at all, another number of columns, a missing label, a text without words, an unknown
        part, what stands first being no label, broken gzip, bytes that are not UTF-8.
    """
    numbered = [(n, line) for n, line in enumerate(read_utf8(path).split("\n"), start=1)]
    lines = [(number, line) for number, line in numbered if line.strip()]
    if not lines:
        raise ValueError(f"{path} is empty: there is no text in it.")
    left_out = lines[-1][0] - len(lines)
    if left_out:
        say(f"{path}: {left_out} empty line(s) left out.")
    width = lines[0][1].count("\t") + 1
    if width not in (1, 2, 4):
        raise ValueError(
            f"{path}, line {lines[0][0]}: {width} tab-separated columns, but a line is label and "
            "text, or part, label, source and text."
        )
    parts: dict[str | None, list[Text]] = {}
    for number, line in lines:
        part, text = _parse(path, number, line, width)
        parts.setdefault(part, []).append(text)
    _refuse_no_labels(path, [text.label for texts in parts.values() for text in texts])
    return parts


def _parse(path: pathlib.Path, number: int, line: str, width: int) -> tuple[str | None, Text]:
    columns = line.split("\t") if width > 1 else line.split(maxsplit=1)
    if width > 1 and len(columns) != width:
        raise ValueError(
            f"{path}, line {number}: {len(columns)} column(s) where the lines before have {width}."
        )
    part, label, text = None, columns[0].strip(), columns[-1].strip()
    if width == 4:
        part, label = label, columns[1].strip()
        if part not in _PARTS:
            raise ValueError(f"{path}, line {number}: {part!r} is none of {', '.join(_PARTS)}.")
    words = split_text(text) if len(columns) > 1 else ()
    if not (label and words):
        missing = "text" if label else "label"
        raise ValueError(f"{path}, line {number}: the {missing} is missing.")
    return part, Text(text, words, label)


def _refuse_no_labels(path: pathlib.Path, labels: list[str]) -> None:
    distinct = len({*labels})
    if distinct > 20 and distinct > len(labels) / 2:
        raise ValueError(
            f"{path} has {distinct} labels in {len(labels)} lines: does the label stand first?"
        )


def build_text_vocabulary(texts: Sequence[Text]) -> Vocabulary:
    """Counts the words, characters and labels of training."""
    words = [word for text in texts for word in text.words]
    labels = collections.Counter(text.label for text in texts)
    return Vocabulary(
        counts=dict(collections.Counter(word.lower() for word in words)),
        characters=sorted({*"".join(words)}),
        tags=sorted(labels),
        usual_tag={},
        default_tag=labels.most_common(1)[0][0],
    )


def encode_texts(
    config: TextConfig, vocabulary: Vocabulary, texts: Sequence[Text]
) -> list[dict[str, np.ndarray]]:
    """What `Encoder.encode_words` makes of each text, and its label, -1 for one not in training."""
    encoder = Encoder(vocabulary, config.word_width)
    index = {label: i for i, label in enumerate(vocabulary.tags)}
    return [
        {**encoder.encode_words(text.words), "label": np.array(index.get(text.label, -1), np.int32)}
        for text in texts
    ]


def read_data(config: TextConfig, console: Console) -> dict[Part, list[Text]]:
    """The texts of each part, of a fold if that is asked for."""
    read = functools.partial(read_texts, say=teller(console))
    if not config.folds:
        return read_parts(config.train, config.dev, config.test, read=read)
    texts = [text for part in read(config.train).values() for text in part]
    if len(texts) < config.folds:
        raise ValueError(
            f"{config.train} has {len(texts)} texts, too few for {config.folds} folds."
        )
    tested = {*folds(len(texts), config.folds)[config.fold]}
    train, dev = held_out([text for i, text in enumerate(texts) if i not in tested])
    return {"train": train, "dev": dev, "test": [texts[i] for i in sorted(tested)]}
