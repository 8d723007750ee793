"""What models with files of their own share: settings, run folder, vectors of words."""

import dataclasses
import pathlib

import numpy as np

from experiments.runner.folder import RunFolder
from experiments.tagging.settings import WordSettings
from experiments.tagging.vectors import add_words, read_vectors
from experiments.tagging.vocabulary import Vocabulary

_FILES = ("train", "dev", "test", "vectors")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSettings(WordSettings):
    """Settings of a model that is trained on files, perhaps from vectors of words."""

    train: pathlib.Path
    dev: pathlib.Path | None = None
    """Development data, which decides which checkpoint is best. If not given, the part dev of the
    file of --train; without one, a tenth of train."""
    test: pathlib.Path | None = None
    """Test data, looked at once, after training. If not given, that part of the file of --train."""
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


def with_vectors(
    settings: FileSettings, vocabulary: Vocabulary
) -> tuple[Vocabulary, dict[str, np.ndarray]]:
    """The vectors that the settings ask for, and the vocabulary with their words."""
    if settings.vectors is None:
        return vocabulary, {}
    vectors = read_vectors(settings.vectors, size=settings.word_size, limit=settings.max_vectors)
    return add_words(vocabulary, vectors), vectors
