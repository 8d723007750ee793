"""Every cell on real text with as many parameters each: accuracy against time of training.

    python -m experiments.compare_cells train --cell gru --direction fwd
    python -m experiments.compare_cells sweep

Question: what does GRU save against LSTM, what do the other cells give up or win, and what does the
second direction buy at the same number of parameters? The task is that of experiments.pos_tagging,
on its bundled text. The results are in experiments/README.md.
"""

import dataclasses
import pathlib
from typing import Annotated

import tyro

from experiments.compare_cells.config import ComparisonConfig
from experiments.compare_cells.report import plot_cells, print_table
from experiments.compare_cells.training import NAME, train_run
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run.command import run_command
from experiments.runner.run.results import read_result
from experiments.runner.run.sweep import train_all
from experiments.words.model import CELLS

RUNS = pathlib.Path("runs") / NAME
DIRECTIONS = ("both", "fwd")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train one tagger, or go on with a training that was stopped.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints and result.json,
    with the accuracy on test and the processor time of training. A training that was killed or
    interrupted goes on with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[ComparisonConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS / "one"
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and tests."""
        train_run(self.config, self.run_folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(OnDevices):
    """Train every tagger of the picture that is not trained yet, and draw it."""

    cells: tuple[str, ...] = tuple(CELLS)
    """Cells to compare."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs of each."""
    config: tyro.conf.OmitArgPrefixes[ComparisonConfig]
    """What all have in common; --cell, --direction and --seed are those of the sweep."""
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
        folders = train_all(self.runs, configs, self.seeds, train_run)
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
        Train | Sweep,
        program=f"python -m experiments.{NAME}",
        description="All cells on one task, with equal numbers of parameters.",
    )


if __name__ == "__main__":
    main()
