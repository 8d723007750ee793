"""Part-of-speech tagging of real text, with a bidirectional LSTM over words and characters.

    python -m experiments.pos_tagging train
    python -m experiments.pos_tagging predict "I know that man ."
    python -m experiments.pos_tagging export --to tagger

Question: how well does a plain bidirectional tagger do without pretrained vectors, and what does
the second direction give? README.md of this folder has the results.
"""

import pathlib
from importlib import metadata

import tyro
from rich.console import Console

from experiments.pos_tagging.config import TaggingConfig
from experiments.pos_tagging.data import read_data, read_sentences, tags_of
from experiments.pos_tagging.model import load_tagger, make_training
from experiments.pos_tagging.report import finish, print_summary, tag_all
from experiments.runner.data.measures import require_labels
from experiments.runner.export.command import ExportCommand
from experiments.runner.pictures.curves import plot_comparison
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import FileEncoding, NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder, environment
from experiments.runner.run.options import Options
from experiments.runner.run.predicting import PredictTexts, json_line
from experiments.runner.run.results import read_result
from experiments.words.data import build_vocabulary, split_words
from experiments.words.model import GROWING, VOCABULARY, extended, with_buckets
from experiments.words.report import aligned, tags_of_words

NAME = "pos_tagging"
RUN = pathlib.Path("runs") / NAME


def prepare(
    config: TaggingConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the data of a run, and says what to train and to test."""
    reading = config.reading()
    parts = read_data(**config.files, tags=config.tags, reading=reading)
    reading.tell()
    require_labels(tags_of(parts["train"]), tags_of(parts["dev"]), "tag")
    config = with_buckets(config, parts["train"], console)
    vocabulary = extended(build_vocabulary(parts["train"]), origin)
    return Prepared(
        make_training(config, vocabulary, parts["train"], parts["dev"]),
        lambda folder, console: finish(folder, load_tagger(folder), parts["test"], console),
        files={VOCABULARY: vocabulary.save},
        learned={"buckets": config.buckets},
        grows=(*GROWING, "tagger.w", "tagger.b"),
    )


EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train a tagger, or resume a training that was stopped, and test it.

    The run folder also gets the test data with predicted tags, mistakes.txt, curves.png and
    confusion.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[TaggingConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure a trained tagger on a file of tagged sentences."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    test: pathlib.Path | None = None
    """Tagged sentences, in the formats of train; the test data of the run if not given."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Evaluates and prints."""
        tagger = load_tagger(self.folder)
        config, reading = tagger.config, tagger.config.reading(self.encoding)
        if self.test:
            sentences = read_sentences(self.test, config.tags, "test", reading)
        else:
            sentences = read_data(**config.files, tags=config.tags, reading=reading)["test"]
        reading.tell()
        print_summary(tag_all(tagger, sentences), tagger, Console())


class Predict(PredictTexts):
    """Tag sentences, from the command line, a file or standard input, one per line.

    Words are separated by spaces: write "that man ." and not "that man.". A JSON record has words
    and tags.
    """

    experiment, what = EXPERIMENT, "sentence"
    run_folder: OldRun = RUN

    def run(self) -> None:
        """Tags and prints."""
        tagger = load_tagger(self.folder)
        sentences = [line.text.split() for line in self.lines(tagger.config.reading)]
        self.write(sentences, tags_of_words(tagger.tag))


class Directions(Options):
    """Show what the second direction gives, with unidirectional and bidirectional taggers.

    Two sentences that begin alike are tagged by each run. A unidirectional tagger must give
    the words of the common beginning the same tags in both; a bidirectional one need not.
    Train the second tagger with: train --direction fwd --run runs/pos_tagging_fwd
    """

    runs: tuple[pathlib.Path, ...] = (
        RUN,
        pathlib.Path("runs") / f"{NAME}_fwd",
    )
    """Run folders of taggers to compare."""
    pair: tuple[str, str] = ("I know that man .", "I know that he left .")
    """Two sentences that begin alike."""
    picture: pathlib.Path | None = None
    """Where to draw how the runs of each direction learned, several seeds of each if given."""

    def run(self) -> None:
        """Tags the pair with each run, prints, and draws."""
        pair = split_words(self.pair)
        runs: dict[str, list[RunFolder]] = {}
        for path in self.runs:
            folder = EXPERIMENT.open(path)
            result = read_result(folder)
            accuracy = result["metrics"]["accuracy"]
            direction = folder.settings["direction"]
            runs.setdefault(f"direction {direction}", []).append(folder)
            print(f"{path}: direction {direction}, test accuracy {accuracy:.2%}")
            for words, tags in zip(pair, load_tagger(folder).tag(pair), strict=True):
                print(f"\n{aligned([words, tags])}")
            print()
        if self.picture:
            plot_comparison(self.picture, runs, title="Accuracy on the validation set")


class Export(ExportCommand):
    """Export a trained tagger to a folder: ONNX, StableHLO, weights, model card.

    With --onnx, one ONNX file with the vocabulary in its metadata is written instead. README.md of
    this folder has a program that tags with nothing but onnxruntime and NumPy. Needs the packages
    of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    onnx: pathlib.Path | None = None
    """File to write in place of a folder; it must not exist yet."""

    def run(self) -> None:
        """Exports and says what was written."""
        if self.onnx is None:
            super().run()
            return
        from experiments.pos_tagging.export import export

        tagger = load_tagger(self.folder)
        size = export(tagger, self.onnx)
        print(f"{self.onnx}: {size / 1e6:.2f} MB, {len(tagger.vocabulary.tags)} tags.")


class Throughput(RunCommand):
    """Measure how many sentences per second are tagged, beside other programs if installed.

    They are onnxruntime with the exported model, and spaCy with a tagger of the sizes of its small
    English pipeline. The sentences are the test data of the run, repeated.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    sentences: int = 2000
    """Number of sentences to tag."""
    rounds: int = 5
    """Measurements of each program, in turns; the fastest counts."""
    to: pathlib.Path | None = None
    """File to add a JSON line to for each program."""

    def __post_init__(self) -> None:
        """Refuses numbers that measure nothing."""
        for name in ("sentences", "rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")

    def run(self) -> None:
        """Measures and prints."""
        from experiments.pos_tagging.throughput import measure

        tagger = load_tagger(self.folder)
        config, reading = tagger.config, tagger.config.reading()
        test = read_data(**config.files, tags=config.tags, reading=reading)["test"]
        chosen = [test[i % len(test)].words for i in range(self.sentences)]
        words = sum(map(len, chosen))
        conditions = {"words": words, "sentences": len(chosen), "rounds": self.rounds}
        conditions |= environment()
        for name, found in measure(tagger, chosen, self.rounds).items():
            by_word = found * words / len(chosen)
            print(f"{name}: {found:,.0f} sentences per second, {by_word:,.0f} words per second")
            if self.to:
                record = {"tagger": name, "version": metadata.version(name)}
                record |= {"sentences_per_second": round(found), **conditions}
                with self.to.open("a", encoding="utf-8") as file:
                    file.write(json_line(record) + "\n")


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        Train | Evaluate | Predict | Directions | Export | Throughput,
        "Part-of-speech tagging with a bidirectional recurrent network.",
    )


if __name__ == "__main__":
    main()
