"""A bidirectional "language model" reads what it predicts: its perplexity is leakage.

    python -m experiments.bilm_leakage compare

Question: why does a bidirectional network reach a perplexity of 1 as a language model and write
nonsense, and how is the second direction used rightly? The results are in experiments/README.md.
"""

import dataclasses
import pathlib
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from experiments.bilm_leakage.config import SHIJING, SidesConfig
from experiments.bilm_leakage.model import TASKS, Task
from experiments.bilm_leakage.report import (
    held_out_perplexities,
    plot_sides,
    print_perplexities,
    sensitivity,
)
from experiments.bilm_leakage.training import fill, is_filling, load_sides, train_sides, write
from experiments.characters.data import read_corpus
from experiments.characters.generate import Drawing
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run.command import run_command
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import read_result

NAME = "bilm_leakage"
RUNS = pathlib.Path("runs") / NAME
_WINDOW = 24  # characters of the Jacobian


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train one model, or go on with a training that was stopped."""

    config: tyro.conf.OmitArgPrefixes[SidesConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS / "leaky" / "0"
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and prints."""
        console = Console()
        folder = train_sides(self.run_folder, self.config, console, experiment=NAME)
        console.print(read_result(folder)["metrics"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare(OnDevices):
    """Train every model that is not trained yet, and show what each knows of unread text.

    Prints the perplexity on the text held out and what the models write and fill in, and draws
    the Jacobian: which characters a prediction depends on.
    """

    text: pathlib.Path = SHIJING
    """The text to learn from."""
    tasks: tuple[Task, ...] = TASKS
    """Which models; the picture needs leaky, elmo and gap."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of each."""
    epochs: int = 12
    """Passes over the text."""
    hidden_size: int = 128
    """Hidden units of each direction."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS
    """Folder of the run folders TASK/SEED."""
    picture: pathlib.Path | None = None
    """Where to draw."""

    def run(self) -> None:
        """Trains, prints and draws."""
        console = Console()
        runs: dict[str, list[RunFolder]] = {task: [] for task in self.tasks}
        for seed in self.seeds:
            for task in self.tasks:
                config = SidesConfig(
                    task=task,
                    text=self.text,
                    epochs=self.epochs,
                    hidden_size=self.hidden_size,
                    seed=seed,
                )
                console.print(f"{task}, seed {seed}", highlight=False)
                path = self.run_folder / task / str(seed)
                runs[task].append(train_sides(path, config, console, experiment=NAME))
        perplexities = held_out_perplexities(runs)
        print_perplexities(perplexities, console)
        self._show_text(runs, console)
        if self.picture:
            self._draw(runs, perplexities)

    def _show_text(self, runs: dict[str, list[RunFolder]], console: Console) -> None:
        corpus = read_corpus(self.text, characters=None, held_out=SidesConfig.held_out)
        start, end = corpus.held_out[:2], corpus.held_out[: 2 * _WINDOW]
        for task, folders in runs.items():
            trained = load_sides(folders[0])
            if is_filling(trained):
                original = corpus.vocabulary.decode(end)
                gap = trained.config.gap_length
                middle = len(original) // 2
                text = original[:middle] + "_" * gap + original[middle + gap :]
                lines = [original, text, fill(trained, text)]
            elif task in ("leaky", "elmo"):
                prefix = corpus.vocabulary.decode(start)
                lines = [write(trained, prefix, length=60, drawing=Drawing(), seed=0)]
            else:
                continue
            text = "\n".join(line.replace("\n", "/") for line in lines)
            console.print(f"\n{task}:\n{text}", highlight=False, markup=False, soft_wrap=True)

    def _draw(self, runs: dict[str, list[RunFolder]], perplexities: dict[str, list[float]]) -> None:
        assert self.picture is not None
        corpus = read_corpus(self.text, characters=None, held_out=SidesConfig.held_out)
        tokens = corpus.held_out[: _WINDOW + 1]
        jacobians = {task: sensitivity(load_sides(runs[task][0]), tokens) for task in _DRAWN}
        panels: dict[str, np.ndarray] = {
            "both directions: x(t+1) at t": jacobians["leaky"].fwd,
            "forward direction: x(t+1) at t": jacobians["elmo"].fwd,
            "backward direction: x(t-1) at t": jacobians["elmo"].bwd,
        }
        plot_sides(self.picture, panels, perplexities)


_DRAWN: tuple[Task, ...] = ("leaky", "elmo")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Infill:
    """Fill the gaps of a text, from what stands on both sides."""

    text: tyro.conf.Positional[str]
    """A text with _ for each missing character."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS / "gap" / "0"
    """Run folder of a model of the task masked or gap."""

    def run(self) -> None:
        """Fills and prints."""
        trained = load_sides(RunFolder.open(self.run_folder, experiment=NAME))
        if not is_filling(trained):
            raise ValueError(
                f"{self.run_folder} holds a model of the task {trained.config.task}, which fills "
                "no gaps from both sides; give one of the task masked or gap."
            )
        print(fill(trained, self.text))


def main() -> None:
    """The command line."""
    run_command(
        Train | Compare | Infill,
        program=f"python -m experiments.{NAME}",
        description="What a bidirectional network may be asked, and what it may not.",
    )


if __name__ == "__main__":
    main()
