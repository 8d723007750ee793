"""Texts with their labels as words, in parts."""

import collections
import functools
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.parts import Part, folds, held_out, read_parts
from experiments.runner.data.reading import Reading
from experiments.sentiment.config import TextConfig
from experiments.sentiment.tables import read_labelled
from experiments.words.data import Encoder, Vocabulary, folded
from experiments.words.segments import Segmentation, split_text


class Text(NamedTuple):
    """A sentence, its words, and its label."""

    text: str
    words: tuple[str, ...]
    label: str


def read_texts(
    path: pathlib.Path, segmentation: Segmentation, reading: Reading
) -> dict[str | None, list[Text]]:
    """Reads a file: its texts by the name of their part, None for a file without parts.

    Args:
      path: the file.
      segmentation: what scripts without blanks are cut into.
      reading: how to read, and where repairs are reported.

    Raises:
      ValueError: as `tables.read_labelled`.
    """
    parts: dict[str | None, list[Text]] = {}
    for number, part, label, text in read_labelled(path, reading):
        words = split_text(text, segmentation)
        if words:
            parts.setdefault(part, []).append(Text(text, words, label))
        else:
            reading.repaired(path, "a text without a word", "left out", number)
    if not parts:
        raise ValueError(f"{path} has no text with a word in it.")
    return parts


def build_text_vocabulary(texts: Sequence[Text]) -> Vocabulary:
    """Counts the words, characters and labels of training."""
    words = [word for text in texts for word in text.words]
    labels = collections.Counter(text.label for text in texts)
    return Vocabulary(
        counts=dict(collections.Counter(map(folded, words))),
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


def read_data(config: TextConfig, reading: Reading) -> dict[Part, list[Text]]:
    """The texts of each part, of a fold if that is asked for."""
    read = functools.partial(read_texts, segmentation=config.segmentation, reading=reading)
    if not config.folds:
        return read_parts(
            config.train,
            config.dev,
            config.test,
            read=read,
            key=lambda text: text.text,
            reading=reading,
        )
    texts = [text for part in read(config.train).values() for text in part]
    if len(texts) < config.folds:
        raise ValueError(
            f"{config.train} has {len(texts)} texts, too few for {config.folds} folds."
        )
    tested = {*folds(len(texts), config.folds)[config.fold]}
    train, dev = held_out([text for i, text in enumerate(texts) if i not in tested])
    return {"train": train, "dev": dev, "test": [texts[i] for i in sorted(tested)]}
