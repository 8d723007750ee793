"""What a recurrent network can keep in mind: five made-up tasks, at growing lengths.

    python -m experiments.memory_tasks train --task adding --length 100 --cell gru
    python -m experiments.memory_tasks sweep

Question: how long can Elman, GRU and LSTM remember, what does the initialisation change, and which
task cannot be solved at all in one direction? The results are in experiments/README.md.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import numpy as np
import tyro

from experiments.runner.command import run_command
from experiments.runner.machines import OnDevices, OnMachines
from experiments.runner.sweep import train_all
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.pictures import plot_lengths
from experiments.synthetic.runs import measured, train_run
from experiments.synthetic.tasks import TASKS

NAME = "memory_tasks"
RUNS = pathlib.Path("runs") / NAME


class Plan(NamedTuple):
    """What a sweep trains for one task."""

    lengths: tuple[int, ...]
    variants: tuple[str, ...]
    settings: Mapping[str, object]


_CELLS = ("Elman", "GRU", "LSTM")
_GATED = (*_CELLS, "LSTM, chrono")
PLANS = {
    "adding": Plan((50, 100, 200, 600), _GATED, {}),
    "copy": Plan((10, 20, 50), _GATED, {"hidden_size": 64, "learning_rate": 1e-2}),
    "order": Plan((50, 100, 200), _CELLS, {}),
    "parity": Plan((10, 20, 50, 100), (*_CELLS, "minGRU"), {}),
    "xor": Plan((16, 32, 64), ("both directions", "both, one layer", "forwards only"), {}),
}


def settings_of(variant: str, num_steps: int) -> dict[str, object]:
    """What a line of the picture stands for."""
    return {
        "Elman": {"cell": "elman"},
        "GRU": {"cell": "gru"},
        "LSTM": {"cell": "lstm"},
        "LSTM, chrono": {"cell": "lstm", "time_span": num_steps},
        "minGRU": {"cell": "mingru"},
        "both directions": {"direction": "both", "layers": 2},
        "both, one layer": {"direction": "both"},
        "forwards only": {"direction": "fwd", "layers": 2},
    }[variant]


def config_of(task: str, variant: str, length: int, steps: int | None) -> SyntheticConfig:
    """The settings of one run of a sweep; `steps` None stands for those of the plan."""
    settings = {**PLANS[task].settings, **settings_of(variant, TASKS[task].num_steps(length))}
    if steps is not None:
        settings |= {"steps": steps, "steps_per_evaluation": min(steps, 100)}
    return SyntheticConfig(task=task, length=length, **settings)  # pyright: ignore


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
