"""Every cell on real text with as many parameters each: accuracy against time of training.

    python -m experiments.compare_cells train --cell gru --direction fwd
    python -m experiments.compare_cells sweep

Question: what does GRU save against LSTM, what do the other cells give up or win, and what does the
second direction buy at the same number of parameters? The task is that of experiments.pos_tagging,
on its bundled text. README.md of this folder has the results.
"""

import dataclasses
import pathlib

import tyro

from experiments.compare_cells.config import ComparisonConfig
from experiments.compare_cells.model import load_tagger, prepare
from experiments.compare_cells.report import plot_cells, print_table
from experiments.runner.run.choices import CELLS
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import NewRun, OldRun, SweepCommand, TrainCommand
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.predicting import PredictTexts
from experiments.runner.run.results import read_result
from experiments.runner.run.sweep import train_all
from experiments.words.report import tags_of_words

NAME = "compare_cells"
RUNS = pathlib.Path("runs") / NAME
DIRECTIONS = ("both", "fwd")
EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train one tagger, or resume a training that was stopped.

    result.json gets the accuracy on test and the processor time of training.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[ComparisonConfig]
    run_folder: NewRun = RUNS / "one"


class Predict(PredictTexts):
    """Tag sentences, from the command line, a file or standard input, one per line.

    Words are what stands between spaces. A JSON record has words and tags.
    """

    experiment, what = EXPERIMENT, "sentence"
    run_folder: OldRun = RUNS / "one"

    def run(self) -> None:
        """Tags and prints."""
        tagger = load_tagger(self.folder)
        sentences = [line.text.split() for line in self.lines(tagger.config.reading)]
        self.write(sentences, tags_of_words(tagger.tag))


class Sweep(SweepCommand):
    """Train every tagger of the picture that is not trained yet, and draw it."""

    cells: tuple[str, ...] = tuple(CELLS)
    """Cells to compare."""
    config: tyro.conf.OmitArgPrefixes[ComparisonConfig]
    """Settings of all runs; --cell, --direction and --seed are those of the sweep."""
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""
    picture: pathlib.Path = RUNS / "cells.png"
    """Where to draw accuracy against time."""

    def run(self) -> None:
        """Trains, prints and draws."""
        unknown = [name for name in self.cells if name not in CELLS]
        if unknown:
            raise ValueError(f"There is no cell {unknown[0]!r}; there are {', '.join(CELLS)}.")
        configs = {
            f"{cell}-{direction}": dataclasses.replace(self.config, cell=cell, direction=direction)
            for cell in self.cells
            for direction in DIRECTIONS
        }
        folders = train_all(self.runs, configs, self.seeds, EXPERIMENT.train)
        results = {
            name: [read_result(folder)["metrics"] for folder in runs]
            for name, runs in folders.items()
        }
        print_table(results)
        self.picture.parent.mkdir(parents=True, exist_ok=True)
        plot_cells(self.picture, results)
        print(f"The picture is {self.picture}.")


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        Train | Predict | Sweep,
        "All cells on one task, with equal numbers of parameters.",
    )


if __name__ == "__main__":
    main()
