"""The settings that all models over words have in common."""

import dataclasses
import pathlib
from typing import NamedTuple, Self

from birnn_jax import Cell, Layer
from experiments.runner.data.reading import Reading, ReadSettings
from experiments.runner.run.choices import CELLS, CellName, Direction
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.settings import RunSettings, require
from experiments.words.data import Vocabulary


class WordReader(NamedTuple):
    """How words are read: everything static about it."""

    cell: Cell
    dropout: float
    word_dropout: float


class WordTagger(NamedTuple):
    """The shape of the model, and how it is regularised: everything static about it."""

    cell: Cell
    layers: tuple[Layer, ...]
    dropout: float
    word_dropout: float

    @property
    def reader(self) -> WordReader:
        """How it reads words."""
        return WordReader(self.cell, self.dropout, self.word_dropout)


class WordSettings(RunSettings):
    """How words are read by a stack, and how that is trained."""

    cell: CellName = "lstm"
    """Recurrent cell of the characters and of the stack."""
    direction: Direction = "both"
    """Directions in which the stack reads the sentence. Characters are always read in both."""
    layers: int = 1
    """Recurrent layers over the words."""
    hidden_size: int = 128
    """Hidden units of each layer and direction."""
    word_size: int = 100
    """Size of the embedding of a word, which is looked up in lower case."""
    character_size: int = 32
    """Size of the embedding of a character."""
    speller_size: int = 64
    """Hidden units of each direction over the characters of a word."""
    word_width: int = 16
    """Number of characters that are read of a word; of a longer word, the first and the last are
    read."""

    dropout: float = 0.4
    """Rate of dropout before the stack and between its layers."""
    word_dropout: float = 0.5
    """A word seen n times is read as unknown with probability a / (a + n); this is a."""
    tokens_per_batch: int = 512
    """Words of a batch, padding included."""
    buckets: int | None = None
    """Different lengths of padded batches, at most; each is compiled once. By default, as many as
    save more time in padding than they take to compile."""
    patience: int = 5
    """Evaluations on dev without a new best before training stops early."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("layers", "hidden_size", "word_size", "character_size")
        self.require_positive("speller_size", "tokens_per_batch")
        self.require_positive(*(["buckets"] if self.buckets is not None else []))
        self.require_rates("dropout")
        require(self.word_width > 1, "word_width must be at least 2")
        require(self.word_dropout >= 0, "word_dropout must not be negative")

    def taking_up(self, run: RunFolder) -> Self:
        """The same settings, and the number of padded lengths of the run, unless it is given."""
        return dataclasses.replace(self, buckets=self.buckets or run.settings.get("buckets"))

    @property
    def tagger(self) -> WordTagger:
        """The static part of a tagger of words."""
        cell = CELLS[self.cell]
        layers = (Layer(cell, direction=self.direction),) * self.layers
        return WordTagger(cell, layers, self.dropout, self.word_dropout)

    def sizes(self, vocabulary: Vocabulary) -> dict[str, int]:
        """The sizes of the parameters that know words."""
        names = ("word_size", "character_size", "speller_size", "hidden_size")
        return {
            "num_words": vocabulary.num_words,
            "num_characters": vocabulary.num_characters,
            **{name: getattr(self, name) for name in names},
        }


class FileSettings(ReadSettings, WordSettings):
    """Settings of a model that is trained on files, perhaps from vectors of words."""

    train: pathlib.Path
    dev: pathlib.Path | None = None
    """Development data, which decides which checkpoint is best. If not given, the part dev of the
    file of --train; without one, a tenth of train that is split off."""
    test: pathlib.Path | None = None
    """Test data, looked at once, after training. If not given, the same as for --dev."""
    vectors: pathlib.Path | None = None
    """Vectors of words to start from: a text file of GloVe, word2vec or fastText, plain or .gz.
    Their size is given to --word-size."""
    vectors_encoding: str = "utf-8"
    """Encoding of the file of --vectors."""
    max_vectors: int = 50_000
    """Largest number of vectors to read, from the beginning of the file of --vectors."""

    word_size: int = 50
    """Size of the embedding of a word, which is looked up in lower case."""
    character_size: int = 25
    """Size of the embedding of a character."""
    speller_size: int = 25
    """Hidden units of each direction over the characters of a word."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("max_vectors")

    def reading_vectors(self) -> Reading:
        """How the file of vectors is read."""
        return Reading(self.vectors_encoding, strict=self.strict, option="--vectors-encoding")
