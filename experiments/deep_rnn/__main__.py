"""Depth: why a plain stack of six LSTMs does not train, and what makes it.

    python -m experiments.deep_rnn compare --picture depth.png

Question: is "more layers are not always better" a law, or an initialisation? Every change is tried
alone and with the others: residual connections, layer norm, orthogonal initialisation gate by gate.
README.md of this folder has the results.
"""

import pathlib
from collections.abc import Iterator

import tyro
from rich.console import Console

from experiments.characters import commands as characters
from experiments.characters.config import TATOEBA
from experiments.characters.report import perplexity_by_epoch
from experiments.characters.runs import prepare
from experiments.deep_rnn.config import CHANGES, Change, DepthConfig
from experiments.deep_rnn.report import plot_depths, print_depths
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import NewRun, OldRun, RunsBelow, SweepCommand, TrainCommand
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import read_result
from experiments.runner.run.sweep import train_all

NAME = "deep_rnn"
RUNS = pathlib.Path("runs") / NAME
EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train one stack, or resume a training that was stopped, and measure it."""

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[DepthConfig]
    run_folder: NewRun = RUNS / "all_6" / "0"

    def run(self) -> None:
        """Trains and tests."""
        EXPERIMENT.train(self.config.language, self.run_folder, self.start)


class Generate(characters.Generate):
    """Continue one or more beginnings with a trained stack; each character is printed at once.

    Beginnings are arguments, or lines of a file or of standard input. The same seed gives the same
    text. A JSON record has prefix, and text, which begins with it.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUNS / "all_6" / "0"


class Compare(SweepCommand):
    """Train every stack that is not trained yet, and draw perplexity against depth.

    Plain stacks and those with all changes are trained at every depth, and those with a single
    change at one depth.
    """

    text: pathlib.Path = TATOEBA
    """The text to learn."""
    depths: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    """Depths of the plain stacks and of those with all changes."""
    changes: tuple[Change, ...] = tuple(CHANGES)
    """Which changes."""
    single_depth: int = 6
    """Depth at which single changes are tried; one of the depths."""
    hidden_size: int = 256
    """Hidden units of each layer."""
    epochs: int = 80
    """Number of epochs."""
    run_folder: RunsBelow = RUNS
    """Folder of the run folders CHANGE_DEPTH/SEED."""
    picture: pathlib.Path | None = None
    """Where to draw."""

    def __post_init__(self) -> None:
        """Refuses what could not be drawn."""
        if self.single_depth not in self.depths:
            raise ValueError(f"single_depth must be one of the depths, got {self.single_depth}.")

    def run(self) -> None:
        """Trains, prints and draws."""
        pairs: dict[str, tuple[Change, int]] = {
            f"{change}_{depth}": (change, depth) for change, depth in self._pairs()
        }
        configs = {name: self._config(*pair).language for name, pair in pairs.items()}
        trained = train_all(
            self.run_folder, configs, self.seeds, EXPERIMENT.train, path="{name}/{seed}"
        )
        runs = {pairs[name]: folders for name, folders in trained.items()}
        last = {pair: [_last(folder) for folder in folders] for pair, folders in runs.items()}
        print_depths(last, Console())
        if self.picture:
            curves = {
                change: [perplexity_by_epoch(f) for f in runs[change, self.single_depth]]
                for change in self.changes
            }
            plot_depths(self.picture, last, curves, self.single_depth)

    def _config(self, change: Change, depth: int) -> DepthConfig:
        options = {name: getattr(self, name) for name in ("text", "hidden_size", "epochs")}
        return DepthConfig(change=change, layers=depth, **options)

    def _pairs(self) -> Iterator[tuple[Change, int]]:
        """What is trained, what the picture needs most first."""
        for change in self.changes:
            yield change, self.single_depth
        for depth in self.depths:
            for change in self.changes:
                if change in ("plain", "all") and depth != self.single_depth:
                    yield change, depth


def _last(folder: RunFolder) -> float:
    return read_result(folder)["metrics"]["perplexity"]


def main() -> None:
    """The command line."""
    run_command(NAME, Train | Generate | Compare, "Perplexity against depth.")


if __name__ == "__main__":
    main()
