"""Why gates and clipping: how far a gradient reaches back through Elman, GRU and LSTM.

    python -m experiments.gradient_flow train --cell lstm --forget-bias 0
    python -m experiments.gradient_flow sweep

Question: how does the norm of d h[T] / d h[t] fall with the distance T - t, before training and
after it; what do orthogonal weights, the bias of the forget gate and clipping change; and what
happens without clipping? The results are in experiments/README.md.
"""

import dataclasses
import pathlib
from typing import Annotated

import tyro

from experiments.gradient_flow.config import TASK, VARIANTS
from experiments.gradient_flow.model import write_flow
from experiments.gradient_flow.report import plot_cells, plot_clipping, plot_options
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run.command import run_command
from experiments.runner.run.sweep import train_all
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.training import train_run

NAME = "gradient_flow"
RUNS = pathlib.Path("runs") / NAME
PICTURES = {"cells": plot_cells, "options": plot_options, "clipping": plot_clipping}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train one network of one layer, and measure how far gradients reach before and after.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, flow.json,
    result.json and curves.png. A training that was killed or interrupted goes on with the same
    command, and ends exactly as if it had not been. One that blows up is measured where it was
    best.
    """

    config: tyro.conf.OmitArgPrefixes[SyntheticConfig] = TASK
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS / "one"
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and measures."""
        if self.config.layers != 1 or self.config.direction != "fwd":
            raise ValueError(
                "The gradient is followed through one layer that reads forwards; got layers "
                f"{self.config.layers} and direction {self.config.direction}."
            )
        train_run(NAME, self.config, self.run_folder, write_flow)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(OnDevices):
    """Train every network of the pictures that is not trained yet, and draw them."""

    length: int = TASK.length
    """Steps T of a sequence."""
    steps: int = TASK.steps
    """Training steps, at most."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs of each network."""
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
        configs = {name: dataclasses.replace(base, **one) for name, one in VARIANTS.items()}
        folders = train_all(
            self.runs,
            configs,
            self.seeds,
            lambda config, path: train_run(NAME, config, path, write_flow),
        )
        self.pictures.mkdir(parents=True, exist_ok=True)
        for name, plot in PICTURES.items():
            plot(self.pictures / f"gradient_{name}.png", folders)
        print(f"The pictures are in {self.pictures}.")


def main() -> None:
    """The command line."""
    run_command(
        Train | Sweep,
        program=f"python -m experiments.{NAME}",
        description="How far gradients reach back in time.",
    )


if __name__ == "__main__":
    main()
