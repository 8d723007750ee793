"""Why gates and clipping: how far a gradient reaches back through Elman, GRU and LSTM.

    python -m experiments.gradient_flow train --cell lstm --forget-bias 0
    python -m experiments.gradient_flow sweep

Question: how does the norm of d h[T] / d h[t] fall with the distance T - t, before training and
after it; what do orthogonal weights, the bias of the forget gate and clipping change; and what
happens without clipping? README.md of this folder has the results.
"""

import dataclasses
import pathlib

import tyro
from rich.console import Console

from experiments.gradient_flow.config import TASK, VARIANTS
from experiments.gradient_flow.model import write_flow
from experiments.gradient_flow.report import plot_cells, plot_clipping, plot_options
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import NewRun, OldRun, SweepCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.sweep import train_all
from experiments.synthetic import commands as synthetic
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.model import prepare

NAME = "gradient_flow"
RUNS = pathlib.Path("runs") / NAME
PICTURES = {"cells": plot_cells, "options": plot_options, "clipping": plot_clipping}


def prepare_flow(
    config: SyntheticConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Says what to train, and to measure how far gradients reach before and after."""
    if config.layers != 1 or config.direction != "fwd":
        raise ValueError(
            "The gradient is followed through one layer that reads forwards; got layers "
            f"{config.layers} and direction {config.direction}."
        )
    return prepare(config, path, console, origin, finish=write_flow)


EXPERIMENT = Experiment(NAME, prepare_flow)


class Train(TrainCommand):
    """Train one network of one layer, and measure how far gradients reach before and after.

    The run folder also gets flow.json and curves.png. A training that diverges is measured at its
    best evaluation.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[SyntheticConfig] = TASK
    run_folder: NewRun = RUNS / "one"


class Predict(synthetic.Predict):
    """Answer sequences of the task, from the command line, a file or standard input, one per line.

    A sequence is digits, or for adding numbers of which two have a star: 0.3 0.5* 0.1 0.7*. See
    experiments/synthetic/sequences.py. A JSON record has sequence and answer.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUNS / "one"


class Sweep(SweepCommand):
    """Train every network of the pictures that is not trained yet, and draw them."""

    length: int = TASK.length
    """Steps T of a sequence."""
    steps: int = TASK.steps
    """Training steps, at most."""
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""
    pictures: pathlib.Path = RUNS
    """Folder for gradient_cells.png, gradient_options.png and gradient_clipping.png."""

    def run(self) -> None:
        """Trains and draws."""
        evaluation = min(self.steps, TASK.steps_per_evaluation)
        base = dataclasses.replace(
            TASK, length=self.length, steps=self.steps, steps_per_evaluation=evaluation
        )
        configs = {name: dataclasses.replace(base, **changes) for name, changes in VARIANTS.items()}
        folders = train_all(self.runs, configs, self.seeds, EXPERIMENT.train)
        self.pictures.mkdir(parents=True, exist_ok=True)
        for name, plot in PICTURES.items():
            plot(self.pictures / f"gradient_{name}.png", folders)
        print(f"The pictures are in {self.pictures}.")


def main() -> None:
    """The command line."""
    run_command(NAME, Train | Predict | Sweep, "How far gradients reach back in time.")


if __name__ == "__main__":
    main()
