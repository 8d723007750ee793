"""A language model over the characters of any text: trained, measured, and made to write.

    python -m experiments.char_lm train
    python -m experiments.char_lm generate 你好 --temperature 0.8

Question: how do cell, depth, optimiser and direction change what a recurrent network learns of
10,000 characters, and how well does one predict text that it has not read? README.md of this folder
has the results.
"""

import pathlib

import tyro
from rich.console import Console

from experiments.char_lm.config import ROWS, row_config
from experiments.char_lm.report import plot_rows, print_rows
from experiments.characters import commands as characters
from experiments.characters.config import LanguageConfig
from experiments.characters.data import read_corpus, read_text
from experiments.characters.report import parts_of, print_measures
from experiments.characters.runs import prepare
from experiments.characters.training import load_model
from experiments.runner.export.command import ExportCommand
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import (
    FileEncoding,
    NewRun,
    OldRun,
    RunCommand,
    RunsBelow,
    SweepCommand,
    TrainCommand,
)
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.sweep import train_all

NAME = "char_lm"
RUN = pathlib.Path("runs") / NAME
TABLE = pathlib.Path("runs") / f"{NAME}_table"
EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train a model, or resume a training that was stopped, and measure it.

    The run folder also gets vocabulary.json, sample.txt and curves.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[LanguageConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure a trained model: perplexity, bits per character and accuracy."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    text: pathlib.Path | None = None
    """A text of the characters that the model knows; both parts of the text of the run if not
    given."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Measures and prints."""
        trained = load_model(self.folder)
        config, reading = trained.config, trained.config.reading(self.encoding)
        if self.text is not None:
            text = read_text(self.text, reading)
            parts = {self.text.name: trained.vocabulary.encode(text, str(self.text))}
        else:
            options = {"characters": config.characters, "held_out": config.held_out}
            parts = parts_of(read_corpus(config.text, reading, **options))
        reading.tell()
        measured = {name: trained.measure(tokens) for name, tokens in parts.items()}
        print_measures(measured, Console())


class Generate(characters.Generate):
    """Continue one or more beginnings with a trained model, 64 together.

    Beginnings are arguments, or lines of a file or of standard input. The same seed gives the same
    text, alone and together; the first of them is printed character by character. A JSON record has
    prefix, and text, which begins with it.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN


class Export(ExportCommand):
    """Export a trained model to a folder: ONNX, StableHLO, weights, model card.

    The graph has the states before and after as inputs and outputs, to write with.
    Needs the packages of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN


class SourceTable(SweepCommand):
    """Train every row of the table that this project starts from, and print both side by side.

    The same command resumes an interrupted run; finished models are not trained again.
    """

    text: pathlib.Path = LanguageConfig.text
    """The text: its first 10,000 characters are learned."""
    rows: tuple[str, ...] = tuple(ROWS)
    """Which rows."""
    epochs: int = 160
    """Number of epochs."""
    run_folder: RunsBelow = TABLE
    """Folder of the run folders ROW/SEED."""
    picture: pathlib.Path | None = None
    """Where to draw how the perplexity of every row falls, beside the numbers of the source."""

    def run(self) -> None:
        """Trains, prints and draws."""
        configs = {row: row_config(row, self.text, epochs=self.epochs) for row in self.rows}
        runs = train_all(
            self.run_folder, configs, self.seeds, EXPERIMENT.train, path="{name}/{seed}"
        )
        print_rows(runs, Console())
        if self.picture:
            plot_rows(self.picture, runs)


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        Train | Evaluate | Generate | Export | SourceTable,
        "A recurrent language model over the characters of a text.",
    )


if __name__ == "__main__":
    main()
