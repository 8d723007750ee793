"""Depth: why a plain stack of six LSTMs does not train, and what makes it.

    python -m experiments.deep_rnn compare --picture depth.png

Question: is "more layers are not always better" a law, or an initialisation? Every change is tried
alone and with the others: residual connections, layer norm, orthogonal initialisation gate by
gate. The results are in experiments/README.md.
"""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Annotated

import tyro
from rich.console import Console

from experiments.characters.config import TATOEBA
from experiments.characters.report import perplexity_by_epoch, train_and_finish
from experiments.deep_rnn.config import CHANGES, Change, DepthConfig
from experiments.deep_rnn.report import plot_depths, print_depths
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run.command import run_command
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import read_result

NAME = "deep_rnn"
RUNS = pathlib.Path("runs") / NAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train one stack, or go on with a training that was stopped."""

    config: tyro.conf.OmitArgPrefixes[DepthConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS / "all_6" / "0"
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        train_and_finish(self.run_folder, self.config.language, Console(), experiment=NAME)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare(OnDevices):
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
    """Passes over the text."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of each."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS
    """Folder of the run folders CHANGE_DEPTH/SEED."""
    picture: pathlib.Path | None = None
    """Where to draw."""

    def __post_init__(self) -> None:
        """Refuses what could not be drawn."""
        if self.single_depth not in self.depths:
            raise ValueError(f"single_depth must be one of the depths, got {self.single_depth}.")

    def run(self) -> None:
        """Trains, prints and draws."""
        console = Console()
        runs: dict[tuple[Change, int], list[RunFolder]] = {pair: [] for pair in self._pairs()}
        for change, depth in runs:
            for seed in self.seeds:
                config = DepthConfig(
                    text=self.text,
                    layers=depth,
                    change=change,
                    hidden_size=self.hidden_size,
                    epochs=self.epochs,
                    seed=seed,
                )
                console.print(f"{change}, {depth} layers, seed {seed}", highlight=False)
                path = self.run_folder / f"{change}_{depth}" / str(seed)
                folder = train_and_finish(path, config.language, console, experiment=NAME)
                runs[change, depth].append(folder)
        last = {pair: [_last(folder) for folder in folders] for pair, folders in runs.items()}
        print_depths(last, console)
        if self.picture:
            curves = {
                change: [perplexity_by_epoch(f) for f in runs[change, self.single_depth]]
                for change in self.changes
            }
            plot_depths(self.picture, last, curves, self.single_depth)

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
    run_command(
        Train | Compare,
        program=f"python -m experiments.{NAME}",
        description="Perplexity against depth.",
    )


if __name__ == "__main__":
    main()
