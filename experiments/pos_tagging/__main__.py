"""Part-of-speech tagging of real text, with a bidirectional LSTM over words and characters.

    python -m experiments.pos_tagging train
    python -m experiments.pos_tagging predict "I know that man ."
    python -m experiments.pos_tagging export --onnx tagger.onnx

Question: how well does a plain bidirectional tagger do without pretrained vectors, and what does
the second direction give? The results are in experiments/README.md.
"""

import dataclasses
import pathlib
import sys
from typing import Annotated, Any

import tyro
from rich.console import Console

from experiments.pos_tagging.config import TaggingConfig
from experiments.pos_tagging.data import read_data, read_sentences
from experiments.pos_tagging.export import export
from experiments.pos_tagging.report import finish, print_summary, tag_all
from experiments.pos_tagging.training import VOCABULARY, load_tagger, make_training
from experiments.runner.devices.machines import OnMachines
from experiments.runner.pictures.curves import plot_comparison
from experiments.runner.run import loop
from experiments.runner.run.command import run_command
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from experiments.runner.run.results import read_result
from experiments.words.data import build_vocabulary, split_words
from experiments.words.report import aligned

NAME = "pos_tagging"
RUN = pathlib.Path("runs") / NAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a tagger, or go on with a training that was stopped, and look at what it learned.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, result.json,
    the test data with predicted tags, mistakes.txt, curves.png and confusion.png. A training that
    was killed or interrupted goes on with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[TaggingConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        config, console = self.config, Console()
        reading = config.reading()
        sentences = read_data(**config.files, tags=config.tags, reading=reading)
        reading.tell()
        vocabulary = build_vocabulary(sentences["train"])
        files = config.files
        settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in files}
        folder = RunFolder.start(self.run_folder, experiment=NAME, settings=settings, data=files)
        vocabulary.save(folder.path / VOCABULARY)
        training = make_training(config, vocabulary, sentences["train"], sentences["dev"])
        loop.fit(folder, training, console)
        finish(folder, load_tagger(folder), sentences["test"], console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained tagger on a file of tagged sentences."""

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the tagger."""
    test: pathlib.Path | None = None
    """Tagged sentences, in the formats of train; the test data of the run if not given."""
    encoding: str | None = None
    """Encoding of that file; that of the run if not given."""

    def run(self) -> None:
        """Evaluates and prints."""
        folder = RunFolder.open(self.run_folder, experiment=NAME)
        config = TaggingConfig(**folder.settings)
        reading = config.reading(self.encoding)
        if self.test:
            sentences = read_sentences(self.test, config.tags, "test", reading)
        else:
            data = {k: pathlib.Path(v["path"]) for k, v in folder.config["data"].items()}
            sentences = read_data(**data, tags=config.tags, reading=reading)["test"]
        reading.tell()
        tagger = load_tagger(folder)
        print_summary(tag_all(tagger, sentences), tagger, Console())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Tag sentences, from the command line or, without any, from standard input, one a line.

    Words are what stands between spaces: write "that man ." and not "that man.".
    """

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the tagger. Nothing else is read."""
    sentences: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Sentences, each in quotes."""

    def run(self) -> None:
        """Tags and prints."""
        tagger = load_tagger(RunFolder.open(self.run_folder, experiment=NAME))
        sentences = split_words(self.sentences or sys.stdin)
        for words, tags in zip(sentences, tagger.tag(sentences), strict=True):
            print(aligned([words, tags]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Directions:
    """Show what the second direction is for, with taggers trained in one direction and in both.

    Two sentences that begin alike are tagged by each run. A tagger that reads forwards only must
    give the words of the common beginning the same tags in both; one that reads both ways need not.
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
        curves: dict[str, list[Any]] = {}
        for path in self.runs:
            folder = RunFolder.open(path, experiment=NAME)
            result = read_result(folder)
            accuracy = result["metrics"]["accuracy"]
            direction = folder.settings["direction"]
            curves.setdefault(direction, []).append(read_journal(path / "metrics.jsonl"))
            print(f"{path}: direction {direction}, test accuracy {accuracy:.2%}")
            for words, tags in zip(pair, load_tagger(folder).tag(pair), strict=True):
                print(f"\n{aligned([words, tags])}")
            print()
        if self.picture:
            groups = {f"direction {name}": runs for name, runs in curves.items()}
            plot_comparison(self.picture, groups, title="Words right on dev")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """Write a trained tagger as one ONNX file, which is served without JAX.

    The vocabulary is in the metadata of the model. experiments/README.md has a program that tags
    with nothing but onnxruntime and NumPy. Needs the package onnx, which is in the extra interop.
    """

    onnx: pathlib.Path
    """File to write; it must not exist yet."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the tagger."""

    def run(self) -> None:
        """Exports and says what was written."""
        tagger = load_tagger(RunFolder.open(self.run_folder, experiment=NAME))
        size = export(tagger, self.onnx)
        print(f"{self.onnx}: {size / 1e6:.2f} MB, {len(tagger.vocabulary.tags)} tags.")


def main() -> None:
    """The command line."""
    run_command(
        Train | Evaluate | Predict | Directions | Export,
        program=f"python -m experiments.{NAME}",
        description="Part-of-speech tagging with a bidirectional recurrent network.",
    )


if __name__ == "__main__":
    main()
