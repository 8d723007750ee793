"""The commands of `python -m experiments.time_series classify`."""

import pathlib
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from experiments.runner.data.measures import require_labels
from experiments.runner.data.reading import file_or_standard_input
from experiments.runner.export.command import ExportCommand
from experiments.runner.run.commands import FileEncoding, NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.predicting import PredictCommand, Predictor
from experiments.time_series.classify.config import SeriesConfig
from experiments.time_series.classify.data import (
    Problem,
    describe,
    hold_out,
    read_data,
    read_series,
    read_unlabelled,
)
from experiments.time_series.classify.model import PROBLEM, load_classifier, make_training
from experiments.time_series.classify.report import finish, print_summary
from experiments.time_series.classify.ts_file import Series

NAME = "time_series"
RUN = pathlib.Path("runs") / NAME


def prepare(
    config: SeriesConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the series of a run, and says what to train and to test."""
    reading = config.reading()
    given, test = read_data(config.train, config.test, reading)
    reading.tell()
    train, dev = hold_out(given, config.dev_every)
    require_labels([one.label for one in train], [one.label for one in dev], "label")
    problem = describe(train)
    if origin is not None:
        problem = problem.extending(Problem.load(origin.path / PROBLEM))
    problem.encode(test)  # what does not fit is refused before the training, not after it
    return Prepared(
        make_training(config, problem, train, dev),
        lambda folder, console: finish(folder, load_classifier(folder), test, console),
        files={PROBLEM: problem.save},
        grows=("w", "b"),
    )


EXPERIMENT = Experiment(NAME, prepare, task="classify")


class Train(TrainCommand):
    """Train a classifier of whole series, or resume a training that was stopped, and test it.

    The run folder also gets problem.json, curves.png and confusion.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[SeriesConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure a trained classifier on series with labels."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    test: pathlib.Path | None = None
    """Series, in the formats of train; the test data of the run if not given."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Evaluates and prints."""
        classifier = load_classifier(self.folder)
        config, reading = classifier.config, classifier.config.reading(self.encoding)
        if self.test:
            series = read_series(self.test, "test", reading)
        else:
            _, series = read_data(config.train, config.test, reading)
        reading.tell()
        print_summary(classifier, series, Console())


class Predict(PredictCommand):
    """Predict the class of each series of files, with its probability, one line per series.

    A JSON record has label, probability, and probabilities, those of all classes.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    series: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Files of series in the formats of train. Labels are not needed and are ignored; a .ts file
    may have no header. - is standard input."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Classifies and prints."""
        if not self.series:
            raise ValueError("No file of series was given. Name one or more; - is standard input.")
        classifier = load_classifier(self.folder)
        reading = classifier.config.reading(self.encoding)
        labels, size = classifier.problem.labels, len(classifier.problem.mean)
        paths = map(file_or_standard_input, self.series)
        files = [read_unlabelled(path, reading, dimensions=size) for path in paths]
        series = [one for file in files for one in file]
        reading.tell()

        def record(_: Series, shares: np.ndarray) -> dict[str, Any]:
            best = int(shares.argmax())
            every = dict(zip(labels, shares.tolist(), strict=True))
            return {"label": labels[best], "probability": every[labels[best]]} | {
                "probabilities": every
            }

        predictor = Predictor(
            predict=lambda some: [*classifier.classify(some)],
            text=lambda _, shares: f"{labels[shares.argmax()]}\t{shares.max():.3f}",
            record=record,
        )
        self.write(series, predictor)


class Export(ExportCommand):
    """Export a trained classifier to a folder: ONNX, StableHLO, weights, model card.

    Needs the packages of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
