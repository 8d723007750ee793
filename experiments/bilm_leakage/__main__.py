"""A bidirectional "language model" reads what it predicts: its perplexity is leakage.

    python -m experiments.bilm_leakage compare

Question: why does a bidirectional network reach a perplexity of 1 as a language model and write
nonsense, and how is the second direction used rightly? README.md of this folder has the results.
"""

import pathlib

import numpy as np
import tyro
from rich.console import Console

from experiments.bilm_leakage.config import SHIJING, TASKS, SidesConfig, Task
from experiments.bilm_leakage.report import (
    held_out_perplexities,
    plot_sides,
    print_perplexities,
    sensitivity,
)
from experiments.bilm_leakage.training import fill, is_filling, load_sides, prepare, write
from experiments.characters.data import Corpus, read_corpus
from experiments.characters.generate import Drawing
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import (
    NewRun,
    OldRun,
    RunsBelow,
    SweepCommand,
    TrainCommand,
)
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.predicting import Predictor, PredictTexts
from experiments.runner.run.results import read_result
from experiments.runner.run.sweep import train_all

NAME = "bilm_leakage"
RUNS = pathlib.Path("runs") / NAME
_SHARED = ("text", "encoding", "strict", "epochs", "hidden_size")  # by all runs of a comparison
_WINDOW = 24  # characters of the Jacobian
EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train one model, or resume a training that was stopped, and measure it."""

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[SidesConfig]
    run_folder: NewRun = RUNS / "leaky" / "0"

    def run(self) -> None:
        """Trains, measures and prints."""
        folder = EXPERIMENT.train(self.config, self.run_folder, self.start)
        Console().print(read_result(folder)["metrics"])


class Compare(ReadSettings, SweepCommand):
    """Train every model that is not trained yet, and show what each knows of unread text.

    Prints the perplexity on the text held out and what the models write and fill in, and draws
    the Jacobian: which characters a prediction depends on.
    """

    text: pathlib.Path = SHIJING
    """The text to learn from."""
    tasks: tuple[Task, ...] = TASKS
    """Which models; the picture needs leaky, elmo and gap."""
    epochs: int = 12
    """Number of epochs."""
    hidden_size: int = 128
    """Hidden units of each direction."""
    run_folder: RunsBelow = RUNS
    """Folder of the run folders TASK/SEED."""
    picture: pathlib.Path | None = None
    """Where to draw."""

    def run(self) -> None:
        """Trains, prints and draws."""
        console = Console()
        options = {name: getattr(self, name) for name in _SHARED}
        configs = {task: SidesConfig(task=task, **options) for task in self.tasks}
        runs = train_all(
            self.run_folder, configs, self.seeds, EXPERIMENT.train, path="{name}/{seed}"
        )
        perplexities = held_out_perplexities(runs)
        print_perplexities(perplexities, console)
        self._show_text(runs, console)
        if self.picture:
            self._draw(runs, perplexities)

    def _read(self) -> Corpus:
        """The text of the runs, of which they have told what there is to tell."""
        held_out = SidesConfig.held_out
        return read_corpus(self.text, self.reading(), characters=None, held_out=held_out)

    def _show_text(self, runs: dict[str, list[RunFolder]], console: Console) -> None:
        corpus = self._read()
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
        corpus = self._read()
        tokens = corpus.held_out[: _WINDOW + 1]
        jacobians = {task: sensitivity(load_sides(runs[task][0]), tokens) for task in _DRAWN}
        panels: dict[str, np.ndarray] = {
            "both directions: x(t+1) at t": jacobians["leaky"].fwd,
            "forward direction: x(t+1) at t": jacobians["elmo"].fwd,
            "backward direction: x(t-1) at t": jacobians["elmo"].bwd,
        }
        plot_sides(self.picture, panels, perplexities)


_DRAWN: tuple[Task, ...] = ("leaky", "elmo")


class Infill(PredictTexts):
    """Fill the gaps of texts, each missing character written as _, from what stands on both sides.

    Texts are arguments, or lines of a file or of standard input. A JSON record has text and filled.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUNS / "gap" / "0"

    def run(self) -> None:
        """Fills and prints."""
        trained = load_sides(self.folder)
        if not is_filling(trained):
            raise ValueError(
                f"{self.run_folder} holds a model of the task {trained.config.task}, which fills "
                "no gaps from both sides; give one of the task masked or gap."
            )
        predictor = Predictor(
            predict=lambda texts: [fill(trained, text) for text in texts],
            text=lambda text, filled: filled,
            record=lambda text, filled: {"text": text, "filled": filled},
            at_once=16,
        )
        self.write([line.text for line in self.lines(trained.config.reading)], predictor)


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        Train | Compare | Infill,
        "What a bidirectional network may be asked, and what it may not.",
    )


if __name__ == "__main__":
    main()
