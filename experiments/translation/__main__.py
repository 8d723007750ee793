"""Translation by an encoder that reads in both directions and a decoder that attends to it.

    python -m experiments.translation train
    python -m experiments.translation predict "I know him."
    python -m experiments.translation train --source train.en --target train.ja

Question: what does attention give over one fixed vector for the whole sentence, and how does that
depend on the length of the sentence? README.md of this folder has the results.
"""

import pathlib

import tyro
from rich.console import Console

from experiments.runner.export.command import ExportCommand
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import FileEncoding, NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options
from experiments.runner.run.predicting import Predictor, PredictTexts
from experiments.translation.config import TranslationConfig
from experiments.translation.data import Pair, read_pairs, read_parallel
from experiments.translation.encoding import LEXICON, learn_or_load
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


def prepare(
    config: TranslationConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the pairs of a run, learns the subwords once, and says what to train and to test."""
    reading = config.reading()
    parts = read_pairs(config, reading)
    reading.tell()
    lexicon = learn_or_load(config, parts["train"], path if origin is None else origin.path)
    return Prepared(
        make_training(config, lexicon, parts),
        lambda folder, console: finish(folder, load_translator(folder), parts["test"], console),
        files={name: subwords.save for name, subwords in zip(LEXICON, lexicon, strict=True)},
    )


EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train a translator, or resume a training that was stopped, and test it.

    The run folder also gets source.model and target.model, translations.jsonl, curves.png and
    alignments.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[TranslationConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure BLEU and chrF of a trained translator on the test of its run, or on two files."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    source: pathlib.Path | None = None
    """Sentences, one per line; the test of the run if not given."""
    target: pathlib.Path | None = None
    """Their translations, on the same lines."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Measures and prints."""
        if (self.source is None) != (self.target is None):
            raise ValueError("Give --source and --target together, or neither.")
        translator = load_translator(self.folder)
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


class Predict(PredictTexts):
    """Translate sentences, from the command line, a file or standard input, one per line.

    A JSON record has source and translation.
    """

    experiment, what = EXPERIMENT, "sentence"
    run_folder: OldRun = RUN
    picture: pathlib.Path | None = None
    """Where to draw the attention weights."""

    def run(self) -> None:
        """Translates, prints and draws."""
        translator = load_translator(self.folder)
        sentences = [line.text.strip() for line in self.lines(translator.config.reading)]
        predictor = Predictor(
            predict=translator.translate,
            text=lambda source, translation: translation,
            record=lambda source, translation: {"source": source, "translation": translation},
            at_once=256,
        )
        self.write(sentences, predictor)
        if self.picture:
            pairs = [Pair(sentence, "") for sentence in sentences]
            draw_alignments(self.picture, translator, pairs, Console(stderr=True))


class Export(ExportCommand):
    """Export a trained translator to a folder: ONNX, StableHLO, weights, model card.

    The search is outside of the graphs, which are two: encoder.onnx, and decoder.onnx for one step.
    Needs the packages of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN


class Lengths(Options):
    """Compare runs on short and on long sentences, with and without attention.

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
            folder = EXPERIMENT.open(path)
            found = read_translations(folder)
            tests.append([pair for pair, _ in found])
            if tests[-1] != tests[0]:
                raise ValueError(f"{path} was tested on other sentences than {self.runs[0]}.")
            of_lengths = by_length(
                [translation for _, translation in found],
                tests[-1],
                folder.settings["bleu_tokens"],
                self.classes,
            )
            groups.setdefault(folder.settings["attention"], []).append(of_lengths)
            shown = ", ".join(f"{score.length:.1f} words {score.bleu:.1f}" for score in of_lengths)
            print(f"{path}, {folder.settings['attention']}: {shown}")
        if self.picture:
            plot_lengths(self.picture, groups)


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        Train | Evaluate | Predict | Export | Lengths,
        "Translation with attention over a bidirectional encoder.",
    )


if __name__ == "__main__":
    main()
