"""Sentiment of sentences: a bidirectional LSTM over words and characters, and one label for all.

    python -m experiments.sentiment train
    python -m experiments.sentiment predict "The battery died after a week."
    python -m experiments.sentiment compare

Question: which readout of a recurrent network does best on 2,400 sentences, and does it beat
counting words? The results are in experiments/README.md.
"""

import dataclasses
import pathlib
import sys
from typing import Annotated, Any

import tyro
from rich.console import Console

from experiments.runner.data.parts import named_part
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run import loop
from experiments.runner.run.command import run_command
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.progress import teller
from experiments.runner.run.results import has_result
from experiments.runner.run.sweep import compare_variants, print_means, train_all
from experiments.sentiment.config import TextConfig
from experiments.sentiment.data import (
    Text,
    build_text_vocabulary,
    read_data,
    read_texts,
)
from experiments.sentiment.report import finish, print_summary, show
from experiments.sentiment.training import VOCABULARY, load_classifier, make_training
from experiments.words.config import start_run
from experiments.words.segments import split_text
from experiments.words.vectors import with_vectors

NAME = "sentiment"
RUNS = pathlib.Path("runs") / NAME
RUN = RUNS / "one"
VARIANTS: dict[str, dict[str, Any]] = {
    "attention": {"readout": "attention"},
    "maximum": {"readout": "max"},
    "mean": {"readout": "mean"},
    "final states": {"readout": "final"},
    "final state, forwards only": {"readout": "final", "direction": "fwd"},
}


def train_run(config: TextConfig, path: pathlib.Path) -> None:
    """Trains a classifier in the folder `path` and tests it, unless it has its result."""
    console = Console()
    reading = config.reading()
    parts = read_data(config, reading)
    reading.tell()
    folder = start_run(NAME, config, path)
    if has_result(folder):
        teller(console)(f"{path} has its result.")
        return
    vocabulary, vectors = with_vectors(config, build_text_vocabulary(parts["train"]))
    vocabulary.save(folder.path / VOCABULARY)
    loop.fit(folder, make_training(config, vocabulary, parts, vectors), console)
    finish(folder, load_classifier(folder), parts, console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a classifier, or go on with a training that was stopped, and see what it learned.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, result.json,
    predictions.tsv, mistakes.txt, curves.png, confusion.png and, with attention, attention.png. A
    training that was killed goes on with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[TextConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        train_run(self.config, self.run_folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained classifier on a file of labelled texts."""

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the classifier."""
    test: pathlib.Path | None = None
    """Labelled texts, in the formats of train; the test data of the run if not given."""
    encoding: str | None = None
    """Encoding of that file; that of the run if not given."""

    def run(self) -> None:
        """Evaluates and prints."""
        folder, console = RunFolder.open(self.run_folder, experiment=NAME), Console()
        classifier = load_classifier(folder)
        config, reading = classifier.config, classifier.config.reading(self.encoding)
        if self.test:
            found = read_texts(self.test, config.segmentation, reading)
            texts = named_part(self.test, found, "test")
        else:
            data = {k: pathlib.Path(v["path"]) for k, v in folder.config["data"].items()}
            texts = read_data(dataclasses.replace(config, **data), reading)["test"]
        reading.tell()
        print_summary(classifier.judge(texts), classifier, console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Label texts, from the command line or, without any, from standard input, one a line.

    With the readout by attention, the words that it rests on are shown below.
    """

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the classifier. Nothing else is read."""
    texts: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Texts, each in quotes."""

    def run(self) -> None:
        """Labels and prints."""
        classifier = load_classifier(RunFolder.open(self.run_folder, experiment=NAME))
        segmentation = classifier.config.segmentation
        texts = [Text(t.strip(), split_text(t, segmentation), "") for t in self.texts or sys.stdin]
        for number, text in enumerate(texts, start=1):
            if not text.words:
                raise ValueError(f"Text {number} is empty: there is no word to read.")
        if not texts:
            raise ValueError("There is no text to label.")
        for one in classifier.judge(texts):
            print(show(one))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare(OnDevices):
    """Train a classifier with every readout that is not trained yet."""

    config: tyro.conf.OmitArgPrefixes[TextConfig]
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs of each; takes the place of --seed."""
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""
    picture: pathlib.Path | None = None
    """Where to draw accuracy on dev of all runs."""

    def run(self) -> None:
        """Trains, prints and draws."""
        compare_variants(
            self.runs,
            self.config,
            VARIANTS,
            self.seeds,
            train_run,
            metrics=("accuracy", "bag_of_words"),
            picture=self.picture,
            title="Sentences right on dev",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrossValidate:
    """Train and test on every fold of data without a split, and print the mean.

    Of what is not in the fold, a tenth decides which checkpoint is best.
    """

    config: tyro.conf.OmitArgPrefixes[TextConfig]
    runs: pathlib.Path = RUNS / "folds"
    """Folder of the run folders."""

    def run(self) -> None:
        """Trains and prints."""
        count = self.config.folds or 10
        configs = {
            f"fold{fold}-of-{count}": dataclasses.replace(self.config, folds=count, fold=fold)
            for fold in range(count)
        }
        folders = train_all(self.runs, configs, [self.config.seed], train_run)
        every = [folder for runs in folders.values() for folder in runs]
        print_means({f"{count} folds": every}, ("accuracy", "bag_of_words"), Console())


def main() -> None:
    """The command line."""
    run_command(
        Train | Evaluate | Predict | Compare | CrossValidate,
        program=f"python -m experiments.{NAME}",
        description="One label for a sentence, by a bidirectional recurrent network.",
    )


if __name__ == "__main__":
    main()
