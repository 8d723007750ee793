"""The settings that all models over words have in common."""

import dataclasses
import pathlib
from typing import Literal

from birnn_jax import Layer
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.settings import RunSettings, require
from experiments.words.data import Vocabulary
from experiments.words.model import CELLS, CellName, WordTagger


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordSettings(RunSettings):
    """How words are read by a stack, and how that is trained."""

    cell: CellName = "lstm"
    """Recurrent cell, of the characters and of the stack."""
    direction: Literal["both", "fwd", "bwd"] = "both"
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
    """Characters read of a word; a longer word keeps as many from either end."""

    dropout: float = 0.4
    """Rate of dropout before the stack and between its layers."""
    word_dropout: float = 0.5
    """A word seen n times is read as unknown with probability a / (a + n); this is a."""
    tokens_per_batch: int = 512
    """Words of a batch, padding included."""
    buckets: int = 4
    """Different lengths of padded batches, at most; each is compiled once."""
    patience: int = 5
    """Evaluations on dev without a new best before training stops early."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        self.require_positive("layers", "hidden_size", "word_size", "character_size")
        self.require_positive("speller_size", "tokens_per_batch", "buckets")
        self.require_rates("dropout")
        require(self.word_width > 1, "word_width must be at least 2")
        require(self.word_dropout >= 0, "word_dropout must not be negative")

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


_FILES = ("train", "dev", "test", "vectors")


@dataclasses.dataclass(frozen=True, kw_only=True)
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
    max_vectors: int = 50_000
    """How many vectors are read from the beginning of that file, at most."""

    word_size: int = 50
    """Size of the embedding of a word, which is looked up in lower case."""
    character_size: int = 25
    """Size of the embedding of a character."""
    speller_size: int = 25
    """Hidden units of each direction over the characters of a word."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        if self.max_vectors < 1:
            raise ValueError("max_vectors must be positive.")


def start_run(experiment: str, settings: FileSettings, path: pathlib.Path) -> RunFolder:
    """Makes the folder of a run, or takes it up: `RunFolder.start` with all files as data."""
    files = {name: getattr(settings, name) for name in _FILES if getattr(settings, name)}
    values = {k: v for k, v in dataclasses.asdict(settings).items() if k not in _FILES}
    return RunFolder.start(path, experiment=experiment, settings=values, data=files)
