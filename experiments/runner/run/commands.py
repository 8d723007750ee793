"""Commands that every experiment has: to train, to use what was trained, to train many times."""

import dataclasses
import pathlib
from typing import Annotated, Any, ClassVar, Self

import tyro

from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options
from experiments.runner.run.origin import Start

NewRun = Annotated[
    pathlib.Path,
    tyro.conf.arg(
        name="run",
        help="Run folder: created, or resumed if it holds an unfinished run with the same "
        "settings. The same command resumes a training that was killed or interrupted, and "
        "ends exactly as if it had not been. The folder gets config.json, environment.json, "
        "metrics.jsonl, clock.jsonl, checkpoints and, last, result.json.",
    ),
]
OldRun = Annotated[
    pathlib.Path,
    tyro.conf.arg(name="run", help="Run folder of the trained model."),
]
FileEncoding = Annotated[
    str | None,
    tyro.conf.arg(help="Encoding of the given file; by default that of the run."),
]
RunsBelow = Annotated[pathlib.Path, tyro.conf.arg(name="run")]


class TrainCommand(OnMachines):
    """Trains one model in a run folder."""

    experiment: ClassVar[Experiment]
    config: Any
    run_folder: NewRun
    start: tyro.conf.OmitArgPrefixes[Start] = Start()

    def run(self) -> None:
        """Trains and tests."""
        self.experiment.train(self.config, self.run_folder, self.start)

    def defaults(self) -> Self:
        """The command with the settings that options not given have: those of --from."""
        if self.start.run is None:
            return self
        if self.start.run.absolute() == self.run_folder.absolute():
            raise ValueError(
                f"--from and --run are both {self.run_folder}: give a new folder to --run."
            )
        folder = self.experiment.open(self.start.run)
        return dataclasses.replace(self, config=type(self.config).of(folder))


class RunCommand(Options):
    """Does something with the model of a run folder."""

    experiment: ClassVar[Experiment]
    run_folder: OldRun

    @property
    def folder(self) -> RunFolder:
        """The run folder, refused if it is of another experiment."""
        return self.experiment.open(self.run_folder)


class SweepCommand(OnDevices):
    """Trains what is not trained yet, with several seeds."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs of each."""
