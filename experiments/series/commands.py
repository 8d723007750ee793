"""The commands of `python -m experiments.time_series classify`."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from experiments.runner import loop
from experiments.runner.confusion import plot_confusion
from experiments.runner.curves import Panel, plot_curves
from experiments.runner.folder import RunFolder
from experiments.runner.journal import read_journal
from experiments.runner.machines import OnMachines
from experiments.runner.results import write_result
from experiments.runner.tasks import open_run, start_run
from experiments.series.config import SeriesConfig, make_training
from experiments.series.problem import describe, hold_out, read_series
from experiments.series.trained import PROBLEM, TrainedClassifier, load_classifier
from experiments.series.ts_file import Series

NAME, TASK = "time_series", "classify"
RUN = pathlib.Path("runs") / "time_series"
DATA = ("train", "test")


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
        given, test = (read_series(getattr(config, name), name) for name in DATA)
        train, dev = hold_out(given, config.dev_every)
        problem = describe(train)
        problem.encode(test)  # what does not fit is refused before the training, not after it
        folder = start_run(self.run_folder, NAME, TASK, config, DATA)
        problem.save(folder.path / PROBLEM)
        loop.fit(folder, make_training(config, problem, train, dev), console)
        _finish(folder, load_classifier(folder), test, console)


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
        path = self.test or pathlib.Path(folder.config["data"]["test"]["path"])
        _print_summary(load_classifier(folder), read_series(path, "test"), Console())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Name the class of each series of a file, with its probability, one line a series."""

    series: tyro.conf.Positional[pathlib.Path]
    """Series, in the formats of train; their own labels are not looked at."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the classifier. Nothing else is read."""

    def run(self) -> None:
        """Classifies and prints."""
        classifier = load_classifier(open_run(self.run_folder, NAME, TASK))
        for shares in classifier.classify(read_series(self.series, "test")):
            best = int(shares.argmax())
            print(f"{classifier.problem.labels[best]}\t{shares[best]:.3f}")


def _finish(
    folder: RunFolder, classifier: TrainedClassifier, test: Sequence[Series], console: Console
) -> None:
    """Tests the classifier, prints how it does, and leaves the results in the run folder."""
    guessed = _print_summary(classifier, test, console)
    gold = [one.label for one in test]
    usual = max(classifier.problem.labels, key=gold.count)
    metrics = {
        "accuracy": _share_right(gold, guessed),
        "largest_class": gold.count(usual) / len(gold),
    }
    write_result(folder, metrics)
    records = read_journal(folder.path / "metrics.jsonl")
    panels = (
        Panel("Loss, nats a series", "loss", scale="log"),
        Panel("Series right", "accuracy", percent=True),
    )
    plot_curves(folder.path / "curves.png", records, panels)
    plot_confusion(folder.path / "confusion.png", gold, guessed, items="series")
    console.print(f"Everything is in {folder.path}; look at its curves.png and confusion.png.")


def _print_summary(
    classifier: TrainedClassifier, series: Sequence[Series], console: Console
) -> list[str]:
    """Prints accuracy overall and of each class; returns the class given to each series."""
    labels = classifier.problem.labels
    guessed = [labels[k] for k in classifier.classify(series).argmax(axis=1)]
    gold = [one.label for one in series]
    table = Table(title=f"{len(series):,} series", title_justify="left")
    for name, justify in (("class", "left"), ("series", "right"), ("right", "right")):
        table.add_column(name, justify=justify)  # pyright: ignore[reportArgumentType]
    for label in sorted(set(gold)):
        of_label = [guess for guess, truth in zip(guessed, gold, strict=True) if truth == label]
        right = _share_right([label] * len(of_label), of_label)
        table.add_row(label, f"{len(of_label):,}", f"{right:.2%}")
    table.add_row("all", f"{len(gold):,}", f"{_share_right(gold, guessed):.2%}")
    console.print(table, highlight=False)
    strange = sorted(set(gold) - set(labels))
    if strange:
        console.print(
            f"Training has no class {', '.join(strange)}: those series count as wrong.",
            highlight=False,
        )
    return guessed


def _share_right(gold: Sequence[str], guessed: Sequence[str]) -> float:
    return float(np.mean([a == b for a, b in zip(gold, guessed, strict=True)]))
