"""Sentiment of sentences: a bidirectional LSTM over words and characters, and one label for all.

    python -m experiments.sentiment train
    python -m experiments.sentiment predict "The battery died after a week."
    python -m experiments.sentiment compare

Question: which readout of a recurrent network does best on 2,400 sentences, and does it beat
counting words? The results are in experiments/README.md.
"""

import dataclasses
import functools
import pathlib
import sys
from typing import Annotated, Any

import tyro
from rich.console import Console

from experiments.runner import loop
from experiments.runner.best import best_params
from experiments.runner.command import run_command
from experiments.runner.folder import RunFolder
from experiments.runner.machines import OnDevices, OnMachines
from experiments.runner.parts import Part, folds, held_out, named_part, read_parts
from experiments.runner.progress import teller
from experiments.runner.results import has_result
from experiments.runner.sweep import compare_variants, print_means, train_all
from experiments.sentences.config import (
    TextConfig,
    build_text_vocabulary,
    encode_texts,
    init_params,
)
from experiments.sentences.findings import TrainedClassifier, finish, print_summary, show
from experiments.sentences.model import text_totals
from experiments.sentences.text import Text, read_texts, split_text
from experiments.tagging.files import start_run, with_vectors
from experiments.tagging.training import make_word_training
from experiments.tagging.vocabulary import Vocabulary

NAME = "sentiment"
VOCABULARY = "vocabulary.json"
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
    parts = read_data(config, console)
    folder = start_run(NAME, config, path)
    if has_result(folder):
        teller(console)(f"{path} has its result.")
        return
    vocabulary, vectors = with_vectors(config, build_text_vocabulary(parts["train"]))
    vocabulary.save(folder.path / VOCABULARY)
    loop.fit(folder, make_training(config, vocabulary, parts, vectors), console)
    finish(folder, load_classifier(folder), parts, console)


def make_training(
    config: TextConfig,
    vocabulary: Vocabulary,
    parts: dict[Part, list[Text]],
    vectors: dict[str, Any],
) -> loop.Training:
    """Says to the runner what to train."""
    return make_word_training(
        config,
        loss_fn=functools.partial(text_totals, config.model()),
        init_params=functools.partial(init_params, config, vocabulary, vectors),
        train=encode_texts(config, vocabulary, parts["train"]),
        dev=encode_texts(config, vocabulary, parts["dev"]),
        metric="accuracy",
    )


def read_data(config: TextConfig, console: Console) -> dict[Part, list[Text]]:
    """The texts of each part, of a fold if that is asked for."""
    read = functools.partial(read_texts, say=teller(console))
    if not config.folds:
        return read_parts(config.train, config.dev, config.test, read=read)
    texts = [text for part in read(config.train).values() for text in part]
    if len(texts) < config.folds:
        raise ValueError(
            f"{config.train} has {len(texts)} texts, too few for {config.folds} folds."
        )
    tested = {*folds(len(texts), config.folds)[config.fold]}
    train, dev = held_out([text for i, text in enumerate(texts) if i not in tested])
    return {"train": train, "dev": dev, "test": [texts[i] for i in sorted(tested)]}


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

    def run(self) -> None:
        """Evaluates and prints."""
        folder, console = RunFolder.open(self.run_folder, experiment=NAME), Console()
        classifier = load_classifier(folder)
        if self.test:
            texts = named_part(self.test, read_texts(self.test, teller(console)), "test")
        else:
            data = {k: pathlib.Path(v["path"]) for k, v in folder.config["data"].items()}
            texts = read_data(dataclasses.replace(classifier.config, **data), console)["test"]
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
        texts = [Text(t.strip(), split_text(t), "") for t in self.texts or sys.stdin]
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


def load_classifier(folder: RunFolder) -> TrainedClassifier:
    """The best checkpoint of a run, from its folder alone."""
    config = TextConfig(**folder.settings)
    vocabulary = Vocabulary.load(folder.path / VOCABULARY)
    params = best_params(folder, config, functools.partial(init_params, config, vocabulary, {}))
    return TrainedClassifier(config, params, vocabulary)


def main() -> None:
    """The command line."""
    run_command(
        Train | Evaluate | Predict | Compare | CrossValidate,
        program=f"python -m experiments.{NAME}",
        description="One label for a sentence, by a bidirectional recurrent network.",
    )


if __name__ == "__main__":
    main()
