"""What a recurrent network can keep in mind: five made-up tasks, at growing lengths.

    python -m experiments.memory_tasks train --task adding --length 100 --cell gru
    python -m experiments.memory_tasks sweep

Question: how long can Elman, GRU and LSTM remember, what does the initialisation change, and which
task cannot be solved at all in one direction? README.md of this folder has the results.
"""

import pathlib

import numpy as np
import tyro

from experiments.memory_tasks.config import PLANS, config_of
from experiments.memory_tasks.report import plot_lengths
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import NewRun, OldRun, SweepCommand, TrainCommand
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.sweep import train_all
from experiments.synthetic import commands as synthetic
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.model import measured, prepare
from experiments.synthetic.tasks import TASKS

NAME = "memory_tasks"
RUNS = pathlib.Path("runs") / NAME
EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train one network on one task, or resume a training that was stopped, and test it.

    The training ends early once the task is solved. The run folder also gets curves.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[SyntheticConfig]
    run_folder: NewRun = RUNS / "one"


class Predict(synthetic.Predict):
    """Answer sequences of the task, from the command line, a file or standard input, one per line.

    A sequence is digits, or for adding numbers of which two have a star: 0.3 0.5* 0.1 0.7*. See
    experiments/synthetic/sequences.py. A JSON record has sequence and answer.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUNS / "one"


class Sweep(SweepCommand):
    """Train every network of the picture that is not trained yet, and draw it."""

    tasks: tuple[str, ...] = tuple(PLANS)
    """Tasks, each a panel."""
    lengths: tuple[int, ...] = ()
    """Lengths, for every task; those of each task's plan if not given."""
    steps: int | None = None
    """Training steps, at most; those of each task's plan if not given."""
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""
    picture: pathlib.Path = RUNS / "lengths.png"
    """Where to draw the result of each network against the length."""

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
        folders = train_all(self.runs, {name: config}, self.seeds, EXPERIMENT.train)[name]
        return measured(folders, TASKS[task].measure)


def main() -> None:
    """The command line."""
    run_command(NAME, Train | Predict | Sweep, "Tasks that need a memory, at growing lengths.")


if __name__ == "__main__":
    main()
