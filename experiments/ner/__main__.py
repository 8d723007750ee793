"""Named entities in real text, with a bidirectional LSTM over words and characters and a CRF.

    python -m experiments.ner train
    python -m experiments.ner predict "Barack Obama flew to New York ."
    python -m experiments.ner export --to ner_model
    python -m experiments.ner compare --picture crf.png

Question: what do the CRF and the second direction give, without pretrained vectors? README.md of
this folder has the results.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import tyro
from rich.console import Console

from birnn_jax.metrics import score_entities
from birnn_jax.text import graphemes, spans_of_tags
from experiments.ner.config import Columns, EntityConfig
from experiments.ner.data import (
    entities_of,
    in_scheme,
    read_answers,
    read_data,
    read_entities,
    with_all_tags,
)
from experiments.ner.model import load_tagger, make_training
from experiments.ner.report import finish, print_scores, print_table
from experiments.ner.schemes import scheme_of
from experiments.runner.data.measures import require_labels
from experiments.runner.data.parts import named_part
from experiments.runner.data.reading import ReadSettings
from experiments.runner.export.command import ExportCommand
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import FileEncoding, NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.predicting import PredictTexts
from experiments.runner.run.sweep import CompareCommand
from experiments.words.data import Vocabulary, build_vocabulary
from experiments.words.model import GROWING, VOCABULARY, with_buckets
from experiments.words.report import tags_of_words
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


def prepare(
    config: EntityConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the data of a run, and says what to train and to test."""
    reading = config.reading()
    known = None if origin is None else Vocabulary.load(origin.path / VOCABULARY)
    parts, scheme = read_data(config, reading, known and scheme_of(known.tags))
    reading.tell()
    require_labels(entities_of(parts["train"]), entities_of(parts["dev"]), "entity", fewest=1)
    config = with_buckets(config, parts["train"], console)
    vocabulary = with_all_tags(build_vocabulary(parts["train"]), scheme)
    vocabulary = vocabulary if known is None else vocabulary.extending(known)
    vocabulary, vectors = with_vectors(config, vocabulary)
    return Prepared(
        make_training(config, vocabulary, parts, vectors),
        lambda folder, console: finish(folder, load_tagger(folder), parts["test"], console),
        files={VOCABULARY: vocabulary.save},
        learned={"buckets": config.buckets},
        grows=[*(f"words.{name}" for name in (*GROWING, "tagger.w", "tagger.b")), "crf"],
    )


EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train a tagger, or resume a training that was stopped, and test it.

    The run folder also gets predictions.tsv for conlleval, mistakes.txt, curves.png and
    confusion.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[EntityConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure a trained tagger on a file of tagged sentences."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    test: pathlib.Path | None = None
    """Tagged sentences, in the columns and scheme of train; the test data of the run if not
    given."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Evaluates and prints."""
        tagger = load_tagger(self.folder)
        config, reading = tagger.config, tagger.config.reading(self.encoding)
        if self.test:
            file = read_entities(self.test, config.columns, config.named_scheme, reading)
            scheme = scheme_of(tagger.vocabulary.tags)
            sentences = named_part(self.test, in_scheme(file, scheme), "test")
        else:
            sentences = read_data(config, reading)[0]["test"]
        reading.tell()
        predicted = tagger.tag([sentence.words for sentence in sentences])
        print_scores(sentences, predicted, Console())


class Predict(PredictTexts):
    """Find entities in sentences, from the command line, a file or standard input, one per line.

    Words are separated by spaces: write "York ." and not "York.". If all training words are single
    characters, as in Chinese files, every character is a word. A JSON record has words, tags and
    entities: label, first word (start), the word behind the last (end), and text.
    """

    experiment, what = EXPERIMENT, "sentence"
    run_folder: OldRun = RUN

    def run(self) -> None:
        """Tags and prints."""
        tagger = load_tagger(self.folder)
        texts = [line.text for line in self.lines(tagger.config.reading)]
        of_characters = tagger.vocabulary.longest_word == 1
        if of_characters:
            texts = [" ".join(graphemes(text)) for text in texts]
        between = "" if of_characters else " "

        def record(words: Sequence[str], tags: list[str]) -> dict[str, Any]:
            entities = [
                {**span._asdict(), "text": between.join(words[span.start : span.end])}
                for span in spans_of_tags(tags)
            ]
            return {"words": [*words], "tags": tags, "entities": entities}

        sentences = [text.split() for text in texts]
        self.write(sentences, tags_of_words(tagger.tag)._replace(record=record))


class Score(ReadSettings):
    """Score the output of any system: two files of the same sentences, one with the correct tags
    and one with the predicted tags."""

    files: tyro.conf.Positional[tuple[pathlib.Path, pathlib.Path]]
    """The correct tags, and those of the system, in columns."""
    word_column: int = 0
    """Column of the word: 0 is the first, not counting a first column that numbers the words."""
    tag_column: int = -1
    """Column of the tag: -1 is the last column that holds only tags."""

    def run(self) -> None:
        """Reads and prints."""
        console, columns = Console(), Columns(self.word_column, self.tag_column)
        reading = self.reading()
        gold, said = (read_answers(path, columns, reading) for path in self.files)
        reading.tell()
        print_table(score_entities(gold, said), gold, console)


class Export(ExportCommand):
    """Export a trained tagger to a folder: ONNX, StableHLO, weights, model card.

    Needs the packages of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN


class Compare(CompareCommand):
    """Train taggers with and without CRF, in one and both directions, that are not trained yet."""

    experiment, variants = EXPERIMENT, VARIANTS
    metrics, title = ("f1", "precision", "recall"), "F1 of entities on dev"
    config: tyro.conf.OmitArgPrefixes[EntityConfig]
    runs: pathlib.Path = RUNS
    """Folder of the run folders."""


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        Train | Evaluate | Predict | Score | Compare | Export,
        "Named entities with a bidirectional recurrent network and a CRF.",
    )


if __name__ == "__main__":
    main()
