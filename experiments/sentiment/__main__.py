"""Sentiment of sentences: a bidirectional LSTM over words and characters, and one label for all.

    python -m experiments.sentiment train
    python -m experiments.sentiment predict "The battery died after a week."
    python -m experiments.sentiment export --to sentiment_model
    python -m experiments.sentiment compare

Question: which readout of a recurrent network does best on 2,400 sentences, and does it beat
counting words? README.md of this folder has the results.
"""

import dataclasses
import pathlib
from typing import Any

import tyro
from rich.console import Console

from experiments.runner.data.measures import require_labels
from experiments.runner.data.parts import named_part
from experiments.runner.export.command import ExportCommand
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import FileEncoding, NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options
from experiments.runner.run.predicting import Predictor, PredictTexts
from experiments.runner.run.sweep import CompareCommand, print_means, train_all
from experiments.sentiment.config import TextConfig
from experiments.sentiment.data import Text, build_text_vocabulary, read_data, read_texts
from experiments.sentiment.model import Judged, load_classifier, make_training
from experiments.sentiment.report import finish, print_summary, show
from experiments.words.model import GROWING, VOCABULARY, extended, with_buckets
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


def prepare(
    config: TextConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the data of a run, and says what to train and to test."""
    reading = config.reading()
    parts = read_data(config, reading)
    reading.tell()
    train, dev = ([text.label for text in parts[name]] for name in ("train", "dev"))
    require_labels(train, dev, "label")
    config = with_buckets(config, parts["train"], console)
    known = extended(build_text_vocabulary(parts["train"]), origin)
    vocabulary, vectors = with_vectors(config, known)
    return Prepared(
        make_training(config, vocabulary, parts, vectors),
        lambda folder, console: finish(folder, load_classifier(folder), parts, console),
        files={VOCABULARY: vocabulary.save},
        learned={"buckets": config.buckets},
        grows=(*GROWING, "classifier.w", "classifier.b"),
    )


EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train a classifier, or resume a training that was stopped, and test it.

    The run folder also gets predictions.tsv, mistakes.txt, curves.png, confusion.png and, with
    attention, attention.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[TextConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure a trained classifier on a file of labelled texts."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    test: pathlib.Path | None = None
    """Labelled texts, in the formats of train; the test data of the run if not given."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Evaluates and prints."""
        classifier = load_classifier(self.folder)
        config, reading = classifier.config, classifier.config.reading(self.encoding)
        if self.test:
            found = read_texts(self.test, config.segmentation, reading)
            texts = named_part(self.test, found, "test")
        else:
            texts = read_data(config, reading)["test"]
        reading.tell()
        print_summary(classifier.judge(texts), classifier, Console())


class Predict(PredictTexts):
    """Label texts, from the command line, a file or standard input, one per line.

    With the readout by attention, the words with the highest weights are printed below. A JSON
    record has text, label and probability, and with attention words and attention.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN

    def run(self) -> None:
        """Labels and prints."""
        classifier = load_classifier(self.folder)
        lines = self.lines(classifier.config.reading)
        segmentation = classifier.config.segmentation
        texts = [Text(text.strip(), split_text(text, segmentation), "") for text, _ in lines]
        for line, text in zip(lines, texts, strict=True):
            if not text.words:
                raise ValueError(f"{line.place} has no word.")
        self.write(texts, Predictor(classifier.judge, lambda _, result: show(result), _record))


def _record(text: Text, result: Judged) -> dict[str, Any]:
    record = {"text": text.text, "label": result.label, "probability": result.probability}
    if result.weights is None:
        return record
    return record | {"words": [*text.words], "attention": result.weights}


class Export(ExportCommand):
    """Export a trained classifier to a folder: ONNX, StableHLO, weights, model card.

    Needs the packages of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN


class Compare(CompareCommand):
    """Train a classifier with every readout that is not trained yet."""

    experiment, variants = EXPERIMENT, VARIANTS
    metrics, title = ("accuracy", "bag_of_words"), "Accuracy on the validation set"
    config: tyro.conf.OmitArgPrefixes[TextConfig]
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""


class CrossValidate(Options):
    """Train and test on every fold of data without a split, and print the mean.

    A tenth of the data outside the fold chooses the best checkpoint.
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
        folders = train_all(self.runs, configs, [self.config.seed], EXPERIMENT.train)
        every = [folder for runs in folders.values() for folder in runs]
        print_means({f"{count} folds": every}, ("accuracy", "bag_of_words"), Console())


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        Train | Evaluate | Predict | Compare | CrossValidate | Export,
        "One label for a sentence, by a bidirectional recurrent network.",
    )


if __name__ == "__main__":
    main()
