"""The settings of a classifier of sentences."""

import pathlib
from typing import NamedTuple

from experiments.runner.data.files import DATA
from experiments.runner.run.choices import Readout
from experiments.words.config import FileSettings, WordTagger
from experiments.words.segments import Segmentation


class TextClassifier(NamedTuple):
    """The shape of the model: everything static about it."""

    words: WordTagger
    readout: Readout


BUNDLED = DATA / "sentiment_uci3000.tsv"


class TextConfig(FileSettings):
    """All settings that determine the results of a run."""

    train: pathlib.Path = BUNDLED
    """Training data: label<TAB>text or text<TAB>label, label text, comma-separated text, lines of
    fastText, or part<TAB>label<TAB>source<TAB>text; plain or .gz. Of a file with parts the part
    train is read."""
    segmentation: Segmentation = "words"
    """How to segment text in scripts without spaces, such as Chinese and Thai: into words by the
    dictionaries of ICU, or into characters."""
    folds: int = 0
    """Number of folds of --train, for data without a test part; one fold is the test set. 0
    switches folds off."""
    fold: int = 0
    """Number of the fold to test on."""

    hidden_size: int = 32
    """Hidden units of each layer and direction."""
    dropout: float = 0.5
    """Rate of dropout before the stack and between its layers."""
    readout: Readout = "attention"
    """Readout of the outputs of all words: the final states, the mean, the maximum, or a mean
    weighted by attention."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        if self.folds and not 0 <= self.fold < self.folds > 1:
            raise ValueError(f"fold {self.fold} of {self.folds} folds cannot be tested on.")

    def model(self) -> TextClassifier:
        """The static part of the model."""
        return TextClassifier(self.tagger, self.readout)
