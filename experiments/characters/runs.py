"""Runs of language models, which two experiments prepare alike."""

import pathlib

from rich.console import Console

from experiments.characters.config import LanguageConfig
from experiments.characters.data import Vocabulary, read_corpus
from experiments.characters.report import finish
from experiments.characters.training import VOCABULARY, make_training
from experiments.runner.run.experiment import Prepared
from experiments.runner.run.folder import RunFolder


def prepare(
    config: LanguageConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the text of a run, and says what to train and to measure."""
    reading = config.reading()
    options = {"characters": config.characters, "held_out": config.held_out}
    corpus = read_corpus(config.text, reading, **options, known=known_characters(origin))
    reading.tell()
    return Prepared(
        make_training(config, corpus),
        lambda folder, console: finish(folder, corpus, console),
        files={VOCABULARY: corpus.vocabulary.save},
        learned={"vocabulary": corpus.vocabulary.digest},
        grows=("rnn.0", "w", "b"),
    )


def known_characters(origin: RunFolder | None) -> str:
    """The characters of the run that a training starts from, in their order; none without one."""
    if origin is None:
        return ""
    return Vocabulary.load(origin.path / VOCABULARY, origin.settings["vocabulary"]).characters
