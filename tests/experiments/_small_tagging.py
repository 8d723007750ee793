"""A part-of-speech experiment that takes seconds: a few bundled sentences, a tiny model."""

import functools
import pathlib

from experiments.pos_tagging.config import BUNDLED, TaggingConfig
from experiments.pos_tagging.data import read_sentences
from experiments.runner.data.reading import Reading
from experiments.words.data import Sentence
from tests.experiments._commands import options

SIZES = {"train": 12, "dev": 4, "test": 5}
OPTIONS = {
    "cell": "elman",
    "hidden_size": 5,
    "word_size": 3,
    "character_size": 2,
    "speller_size": 4,
    "word_width": 6,
    "epochs": 3,
    "tokens_per_batch": 100,
    "buckets": 1,
}
SENTENCES = [
    Sentence(("The", "dog", "barks"), ("DET", "NOUN", "VERB"), ()),
    Sentence(("the", "dog", "and", "the", "uncharacteristically"), ("DET",) * 4 + ("X",), ()),
]


def write_data(folder: pathlib.Path) -> pathlib.Path:
    """Writes the first bundled sentences of each part into one file."""
    path = folder / "small.tsv"
    path.write_text(_bundled(), encoding="utf-8")
    return path


@functools.cache
def _bundled() -> str:
    """Text of the file; to read the whole treebank takes seconds."""
    parts = []
    for split, size in SIZES.items():
        sentences = read_sentences(BUNDLED, "upos", split, Reading())[:size]
        lines = [line for one in sentences for line in [*one.lines, ""]]
        parts += [f"# split = {split}", *(line for line in lines if "# split" not in line)]
    return "\n".join(parts)


def config(data: pathlib.Path, **changes) -> TaggingConfig:
    """The settings, with changes."""
    files = {"train": data, "dev": data, "test": data}
    return TaggingConfig(**{**files, **OPTIONS, **changes})


def arguments(data: pathlib.Path, run: pathlib.Path, **changes) -> list[str]:
    """The settings as a command line."""
    files = {"train": data, "dev": data, "test": data}
    return ["train", *options(**files, **OPTIONS | changes, run=run)]
