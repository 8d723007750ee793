"""Named entities in real text, with a bidirectional LSTM over words and characters and a CRF.

    python -m experiments.ner train
    python -m experiments.ner predict "Barack Obama flew to New York ."
    python -m experiments.ner compare --picture crf.png

Question: what do the CRF and the second direction give, without pretrained vectors? The results are
in experiments/README.md.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import tyro
from rich.console import Console

from experiments.ner.config import Columns, EntityConfig
from experiments.ner.data import (
    in_scheme,
    read_answers,
    read_data,
    read_entities,
    with_all_tags,
)
from experiments.ner.report import finish, print_scores, table_of
from experiments.ner.schemes import scheme_of
from experiments.ner.scorer import score_entities
from experiments.ner.training import VOCABULARY, load_tagger, make_training
from experiments.runner.data.parts import named_part
from experiments.runner.data.reading import ReadSettings
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.run import loop
from experiments.runner.run.command import run_command
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.progress import teller
from experiments.runner.run.results import has_result
from experiments.runner.run.sweep import compare_variants
from experiments.words.config import start_run
from experiments.words.data import build_vocabulary, split_words
from experiments.words.report import aligned
from experiments.words.vectors import with_vectors

NAME = "ner"
RUNS = pathlib.Path("runs") / NAME
RUN = RUNS / "one"
VARIANTS: dict[str, dict[str, Any]] = {
    "crf, both directions": {},
    "crf, forwards only": {"direction": "fwd"},
    "no crf, both directions": {"crf": False},
    "no crf, forwards only": {"crf": False, "direction": "fwd"},
}


def train_run(config: EntityConfig, path: pathlib.Path) -> None:
    """Trains a tagger in the folder `path` and tests it, unless it has its result."""
    console = Console()
    reading = config.reading()
    parts, scheme = read_data(config, reading)
    reading.tell()
    folder = start_run(NAME, config, path)
    if has_result(folder):
        teller(console)(f"{path} has its result.")
        return
    vocabulary = with_all_tags(build_vocabulary(parts["train"]), scheme)
    vocabulary, vectors = with_vectors(config, vocabulary)
    vocabulary.save(folder.path / VOCABULARY)
    loop.fit(folder, make_training(config, vocabulary, parts, vectors), console)
    finish(folder, load_tagger(folder), parts["test"], console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a tagger, or go on with a training that was stopped, and look at what it learned.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, result.json,
    predictions.tsv for conlleval, mistakes.txt, curves.png and confusion.png. A training that was
    killed or interrupted goes on with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[EntityConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        train_run(self.config, self.run_folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained tagger on a file of tagged sentences."""

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the tagger."""
    test: pathlib.Path | None = None
    """Tagged sentences, in the columns and scheme of train; the test data of the run if not
    given."""
    encoding: str | None = None
    """Encoding of that file; that of the run if not given."""

    def run(self) -> None:
        """Evaluates and prints."""
        folder, console = RunFolder.open(self.run_folder, experiment=NAME), Console()
        tagger = load_tagger(folder)
        config, reading = tagger.config, tagger.config.reading(self.encoding)
        if self.test:
            file = read_entities(self.test, config.columns, config.named_scheme, reading)
            scheme = scheme_of(tagger.vocabulary.tags)
            sentences = named_part(self.test, in_scheme(file, scheme), "test")
        else:
            data = {k: pathlib.Path(v["path"]) for k, v in folder.config["data"].items()}
            sentences = read_data(dataclasses.replace(config, **data), reading)[0]["test"]
        reading.tell()
        print_scores(sentences, tagger.tag([one.words for one in sentences]), console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Find entities in sentences, from the command line or, without any, from standard input.

    Words are what stands between blanks: write "York ." and not "York.". If training is of single
    characters, as Chinese often is, every character is a word.
    """

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the tagger. Nothing else is read."""
    sentences: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Sentences, each in quotes."""

    def run(self) -> None:
        """Tags and prints."""
        tagger = load_tagger(RunFolder.open(self.run_folder, experiment=NAME))
        lines: Iterable[str] = self.sentences or sys.stdin
        if tagger.vocabulary.longest_word == 1:
            lines = (" ".join(line) for line in lines)
        sentences = split_words(lines)
        for words, tags in zip(sentences, tagger.tag(sentences), strict=True):
            print(aligned([words, tags]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score(ReadSettings):
    """Measure what any system answered: two files of the same sentences, the right tags and its."""

    files: tyro.conf.Positional[tuple[pathlib.Path, pathlib.Path]]
    """The right tags, and those of the system, in columns."""
    word_column: int = 0
    """Column of the word: 0 is the first, but for a first one that numbers the words."""
    tag_column: int = -1
    """Column of the tag: -1 is the last that holds nothing but tags."""

    def run(self) -> None:
        """Reads and prints."""
        console, columns = Console(), Columns(self.word_column, self.tag_column)
        reading = self.reading()
        gold, said = (read_answers(path, columns, reading) for path in self.files)
        reading.tell()
        console.print(table_of(score_entities(gold, said), gold), highlight=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compare(OnDevices):
    """Train taggers with and without CRF, in one and both directions, that are not trained yet."""

    config: tyro.conf.OmitArgPrefixes[EntityConfig]
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of the runs of each; takes the place of --seed."""
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""
    picture: pathlib.Path | None = None
    """Where to draw F1 on dev of all runs."""

    def run(self) -> None:
        """Trains, prints and draws."""
        compare_variants(
            self.runs,
            self.config,
            VARIANTS,
            self.seeds,
            train_run,
            metrics=("f1", "precision", "recall"),
            picture=self.picture,
            title="F1 of entities on dev",
        )


def main() -> None:
    """The command line."""
    run_command(
        Train | Evaluate | Predict | Score | Compare,
        program=f"python -m experiments.{NAME}",
        description="Named entities with a bidirectional recurrent network and a CRF.",
    )


if __name__ == "__main__":
    main()
