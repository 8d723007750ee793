"""Translation by an encoder that reads in both directions and a decoder that attends to it.

    python -m experiments.translation train
    python -m experiments.translation predict "I know him."
    python -m experiments.translation train --source train.en --target train.ja

Question: what does attention give over one fixed vector for the whole sentence, and how does that
depend on the length of the sentence? The results are in experiments/README.md.
"""

import dataclasses
import pathlib
import sys
from typing import Annotated

import tyro
from rich.console import Console

from experiments.runner.devices.machines import OnMachines
from experiments.runner.run import loop
from experiments.runner.run.command import run_command
from experiments.runner.run.folder import RunFolder
from experiments.translation.config import TranslationConfig
from experiments.translation.data import Pair, read_pairs, read_parallel
from experiments.translation.encoding import start_run
from experiments.translation.report import (
    draw_alignments,
    finish,
    measure,
    plot_lengths,
    print_summary,
    read_translations,
)
from experiments.translation.scores import OfLength, by_length
from experiments.translation.search import Search
from experiments.translation.training import load_translator, make_training

NAME = "translation"
RUN = pathlib.Path("runs") / NAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a translator, or go on with a training that was stopped, and look at what it does.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, source.model and
    target.model, result.json, translations.jsonl, curves.png and alignments.png. A training that
    was killed or interrupted goes on with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[TranslationConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        console = Console()
        reading = self.config.reading()
        parts = read_pairs(self.config, reading)
        reading.tell()
        folder, lexicon = start_run(self.run_folder, self.config, parts["train"], experiment=NAME)
        loop.fit(folder, make_training(self.config, lexicon, parts), console)
        finish(folder, load_translator(folder), parts["test"], console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure BLEU and chrF of a trained translator on the test of its run, or on two files."""

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the translator."""
    source: pathlib.Path | None = None
    """Sentences, one a line; the test of the run if not given."""
    target: pathlib.Path | None = None
    """Their translations, on the same lines."""
    encoding: str | None = None
    """Encoding of these files; that of the run if not given."""

    def run(self) -> None:
        """Measures and prints."""
        if (self.source is None) != (self.target is None):
            raise ValueError("Give --source and --target together, or neither.")
        translator = load_translator(RunFolder.open(self.run_folder, experiment=NAME))
        reading = translator.config.reading(self.encoding)
        if self.source is not None and self.target is not None:
            test = read_parallel(self.source, self.target, reading)
        else:
            test = read_pairs(translator.config, reading)["test"]
        reading.tell()
        sources = [pair.source for pair in test]
        searches = {"beam": translator.search, "greedy": Search(1, 0.0)}
        scores = {
            name: measure(translator.translate(sources, search), test, translator)
            for name, search in searches.items()
        }
        print_summary(scores, Console())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Translate sentences, from the command line or, without any, from standard input."""

    sentences: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Sentences, each in quotes."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the translator. Nothing else is read."""
    picture: pathlib.Path | None = None
    """Where to draw what the decoder looked at."""

    def run(self) -> None:
        """Translates, prints and draws."""
        sentences = [line.strip() for line in self.sentences or sys.stdin]
        for number, sentence in enumerate(sentences, start=1):
            if not sentence:
                raise ValueError(f"Sentence {number} is empty: there is nothing to translate.")
        if not sentences:
            raise ValueError("There is no sentence to translate.")
        translator = load_translator(RunFolder.open(self.run_folder, experiment=NAME))
        for found in translator.translate(sentences):
            print(found)
        if self.picture:
            pairs = [Pair(sentence, "") for sentence in sentences]
            draw_alignments(self.picture, translator, pairs, Console(stderr=True))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lengths:
    """Compare runs on short and on long sentences: what attention is for.

    Train the second translator with: train --attention none --run runs/translation_none
    """

    runs: tuple[pathlib.Path, ...] = (RUN, pathlib.Path("runs") / f"{NAME}_none")
    """Run folders of the same test data, several seeds of each kind of attention if given."""
    classes: int = 5
    """Classes of lengths, with about as many sentences each."""
    picture: pathlib.Path | None = None
    """Where to draw BLEU over the length."""

    def run(self) -> None:
        """Prints and draws."""
        groups: dict[str, list[list[OfLength]]] = {}
        tests = []
        for path in self.runs:
            folder = RunFolder.open(path, experiment=NAME)
            found = read_translations(folder)
            tests.append([pair for pair, _ in found])
            if tests[-1] != tests[0]:
                raise ValueError(f"{path} was tested on other sentences than {self.runs[0]}.")
            of_lengths = by_length(
                [one for _, one in found],
                tests[-1],
                folder.settings["bleu_tokens"],
                self.classes,
            )
            groups.setdefault(folder.settings["attention"], []).append(of_lengths)
            shown = ", ".join(f"{one.length:.1f} words {one.bleu:.1f}" for one in of_lengths)
            print(f"{path}, {folder.settings['attention']}: {shown}")
        if self.picture:
            plot_lengths(self.picture, groups)


def main() -> None:
    """The command line."""
    run_command(
        Train | Evaluate | Predict | Lengths,
        program=f"python -m experiments.{NAME}",
        description="Translation with attention over a bidirectional encoder.",
    )


if __name__ == "__main__":
    main()
