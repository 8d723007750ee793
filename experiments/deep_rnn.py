"""Depth: why a plain stack of six LSTMs does not train, and what makes it.

    python -m experiments.deep_rnn compare --picture depth.png

Question: is "more layers are not always better" a law, or an initialisation? Every change is tried
alone and with the others: residual connections, layer norm, orthogonal initialisation gate by
gate. The results are in experiments/README.md.
"""

import dataclasses
import pathlib
import statistics
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from experiments.language.config import TATOEBA, LanguageConfig
from experiments.language.findings import perplexity_by_epoch, train_and_finish
from experiments.language.pictures import plot_depths
from experiments.runner.command import run_command
from experiments.runner.folder import RunFolder
from experiments.runner.machines import OnDevices, OnMachines
from experiments.runner.results import read_result

NAME = "deep_rnn"
RUNS = pathlib.Path("runs") / NAME
Change = Literal["plain", "residual", "layer_norm", "orthogonal", "all"]
CHANGES: dict[Change, dict[str, Any]] = {
    "plain": {},
    "residual": {"residual": True},
    "layer_norm": {"layer_norm": True},
    "orthogonal": {"init": "orthogonal"},
    "all": {"residual": True, "layer_norm": True, "init": "orthogonal"},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepthConfig:
    """What decides the outcome of a run; all else is as in the table of char_lm."""

    text: pathlib.Path = TATOEBA
    """The text: all of it is learned."""
    layers: int = 6
    """LSTMs on top of one another."""
    change: Change = "all"
    """What is different from a plain stack in the initialisation of torch.nn."""
    hidden_size: int = 256
    """Hidden units of each layer."""
    epochs: int = 80
    """Passes over the text."""
    seed: int = 0
    """Seed of the parameters."""

    @property
    def language(self) -> LanguageConfig:
        """All settings of the model and of its training."""
        # Connections and norms stand around the layers above the first.
        changes = {k: v for k, v in CHANGES[self.change].items() if self.layers > 1 or k == "init"}
        options: dict[str, Any] = {
            name: getattr(self, name) for name in ("text", "layers", "epochs", "seed")
        }
        return LanguageConfig(
            held_out=0.0,
            cell="lstm",
            hidden_size=self.hidden_size,
            **options,
            **changes,
        )


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


def print_depths(last: dict[tuple[Change, int], list[float]], console: Console) -> None:
    """Prints the perplexity of every stack, the mean over seeds."""
    table = Table(title="Perplexity of training, last epoch", title_justify="left")
    depths = sorted({depth for _, depth in last})
    table.add_column("layers")
    for depth in depths:
        table.add_column(str(depth), justify="right")
    for change in CHANGES:
        cells = [last.get((change, depth)) for depth in depths]
        if any(cells):
            table.add_row(change, *(f"{statistics.mean(c):,.4g}" if c else "" for c in cells))
    console.print(table, highlight=False)


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
