"""The commands of `python -m experiments.time_series classify`."""

import dataclasses
import pathlib
from typing import Annotated

import tyro
from rich.console import Console

from experiments.runner.devices.machines import OnMachines
from experiments.runner.run import loop
from experiments.runner.run.tasks import open_run, start_run
from experiments.time_series.classify.config import SeriesConfig
from experiments.time_series.classify.data import describe, hold_out, read_data, read_series
from experiments.time_series.classify.report import finish, print_summary
from experiments.time_series.classify.training import (
    PROBLEM,
    config_of,
    load_classifier,
    make_training,
)

NAME, TASK = "time_series", "classify"
RUN = pathlib.Path("runs") / "time_series"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a classifier of whole series, or go on with a training that was stopped.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, problem.json,
    result.json, curves.png and confusion.png. A training that was killed or interrupted goes on
    with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[SeriesConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        config, console = self.config, Console()
        reading = config.reading()
        given, test = read_data(config.train, config.test, reading)
        reading.tell()
        train, dev = hold_out(given, config.dev_every)
        problem = describe(train)
        problem.encode(test)  # what does not fit is refused before the training, not after it
        folder = start_run(self.run_folder, NAME, TASK, config, config.files)
        problem.save(folder.path / PROBLEM)
        loop.fit(folder, make_training(config, problem, train, dev), console)
        finish(folder, load_classifier(folder), test, console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained classifier on series with labels."""

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the classifier."""
    test: pathlib.Path | None = None
    """Series, in the formats of train; the test data of the run if not given."""

    def run(self) -> None:
        """Evaluates and prints."""
        folder = open_run(self.run_folder, NAME, TASK)
        classifier, reading = load_classifier(folder), config_of(folder).reading()
        if self.test:
            series = read_series(self.test, "test", reading)
        else:
            data = {k: pathlib.Path(v["path"]) for k, v in folder.config["data"].items()}
            series = read_data(data["train"], data["test"], reading)[1]
        reading.tell()
        print_summary(classifier, series, Console())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Name the class of each series of a file, with its probability, one line a series."""

    series: tyro.conf.Positional[pathlib.Path]
    """Series, in the formats of train; their own labels are not looked at."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the classifier. Nothing else is read."""

    def run(self) -> None:
        """Classifies and prints."""
        folder = open_run(self.run_folder, NAME, TASK)
        classifier, reading = load_classifier(folder), config_of(folder).reading()
        series = read_series(self.series, "test", reading)
        reading.tell()
        for shares in classifier.classify(series):
            best = int(shares.argmax())
            print(f"{classifier.problem.labels[best]}\t{shares[best]:.3f}")
