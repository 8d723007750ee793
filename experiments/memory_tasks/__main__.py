"""What a recurrent network can keep in mind: five made-up tasks, at growing lengths.

    python -m experiments.memory_tasks train --task adding --length 100 --cell gru
    python -m experiments.memory_tasks sweep

Question: how long can Elman, GRU and LSTM remember, what does the initialisation change, and which
task cannot be solved at all in one direction? The results are in experiments/README.md.
"""

import dataclasses
import pathlib
from typing import Annotated

import numpy as np
import tyro

from experiments.memory_tasks.config import PLANS, config_of
from experiments.memory_tasks.report import plot_lengths
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run.command import run_command
from experiments.runner.run.sweep import train_all
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.tasks import TASKS
from experiments.synthetic.training import measured, train_run

NAME = "memory_tasks"
RUNS = pathlib.Path("runs") / NAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train one network on one task, or go on with a training that was stopped.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, result.json and
    curves.png. A training that was killed or interrupted goes on with the same command, and ends
    exactly as if it had not been. It ends early once the task is solved.
    """

    config: tyro.conf.OmitArgPrefixes[SyntheticConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUNS / "one"
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and tests."""
        train_run(NAME, self.config, self.run_folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep(OnDevices):
    """Train every network of the picture that is not trained yet, and draw it."""

    tasks: tuple[str, ...] = tuple(PLANS)
    """Tasks, each a panel."""
    lengths: tuple[int, ...] = ()
    """Lengths, for every task; those of each task's plan if not given."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs of each network."""
    steps: int | None = None
    """Training steps, at most; those of each task's plan if not given."""
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""
    picture: pathlib.Path = RUNS / "lengths.png"
    """Where to draw what each network reached, against the length."""

    def run(self) -> None:
        """Trains and draws."""
        unknown = [name for name in self.tasks if name not in PLANS]
        if unknown:
            raise ValueError(f"There is no task {unknown[0]!r}; there are {', '.join(PLANS)}.")
        results = {
            task: {
                variant: {
                    length: self._measure(task, variant, length)
                    for length in self.lengths or PLANS[task].lengths
                }
                for variant in PLANS[task].variants
            }
            for task in self.tasks
        }
        self.picture.parent.mkdir(parents=True, exist_ok=True)
        plot_lengths(self.picture, results)
        print(f"The picture is {self.picture}.")

    def _measure(self, task: str, variant: str, length: int) -> np.ndarray:
        """The measure of the task in each run of a network."""
        name = f"{task}-{length}-{variant.replace(', ', '-').replace(' ', '-')}".lower()
        config = config_of(task, variant, length, self.steps)
        folders = train_all(self.runs, {name: config}, self.seeds, self._train)[name]
        return measured(folders, TASKS[task].measure)

    def _train(self, config: SyntheticConfig, path: pathlib.Path) -> None:
        train_run(NAME, config, path)


def main() -> None:
    """The command line."""
    run_command(
        Train | Sweep,
        program=f"python -m experiments.{NAME}",
        description="Tasks that need a memory, at growing lengths.",
    )


if __name__ == "__main__":
    main()
