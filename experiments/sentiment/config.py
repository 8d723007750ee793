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
    """Everything that decides the outcome of a run."""

    train: pathlib.Path = BUNDLED
    """Training data: label<TAB>text or text<TAB>label, label text, comma-separated text, lines of
    fastText, or part<TAB>label<TAB>source<TAB>text; plain or .gz. Of a file with parts the part
    train is read."""
    segmentation: Segmentation = "words"
    """What texts of scripts without blanks, as Chinese and Thai, are cut into: words by the
    dictionaries of ICU, or characters."""
    folds: int = 0
    """With data that has no test part: into how many folds --train is divided, one to test on. 0
    divides nothing."""
    fold: int = 0
    """Which of the folds to test on."""

    hidden_size: int = 32
    """Hidden units of each layer and direction."""
    dropout: float = 0.5
    """Rate of dropout before the stack and between its layers."""
    readout: Readout = "attention"
    """What becomes of the outputs for all words: the final states, the mean, the maximum, or a mean
    weighted by attention."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        if self.folds and not 0 <= self.fold < self.folds > 1:
            raise ValueError(f"fold {self.fold} of {self.folds} folds cannot be tested on.")

    def model(self) -> TextClassifier:
        """The static part of the model."""
        return TextClassifier(self.tagger, self.readout)
