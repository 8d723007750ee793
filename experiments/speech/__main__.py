"""Spoken digits from real recordings: one at a time, and strings of them without their times.

    python -m experiments.speech train
    python -m experiments.speech train --task row --run runs/speech_row
    python -m experiments.speech predict --run runs/speech_row call.wav

Question: how well does a small bidirectional network hear digits of speakers it knows and of one it
does not, and what is the second direction for in CTC? README.md of this folder has the results.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import tyro
from rich.console import Console

from experiments.runner.export.command import ExportCommand
from experiments.runner.run.command_line import run_command
from experiments.runner.run.commands import NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options
from experiments.runner.run.predicting import AsJson, PredictCommand, Predictor, json_line
from experiments.runner.run.progress import printer
from experiments.runner.run.results import read_result
from experiments.speech.config import SpeechConfig
from experiments.speech.data import (
    LABELS,
    labels_of,
    load_labels,
    read_parts,
    read_recordings,
    save_labels,
)
from experiments.speech.features import SHIFT_SECONDS
from experiments.speech.latency import latency_of, sentence_of
from experiments.speech.model import TrainedListener, load_listener, make_training
from experiments.speech.recipes import seconds_of, told
from experiments.speech.report import (
    error_rate_of,
    finish,
    hearing,
    plot_posteriors,
    print_summary,
    summarise,
)
from experiments.speech.sounds import read_alone, wav_files
from experiments.speech.stream import CHUNK, LOOKAHEAD, LiveListener, stream_recordings

NAME = "speech"
RUN = pathlib.Path("runs") / NAME


def prepare(
    config: SpeechConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the recordings of a run, and says what to train and to test."""
    parts = read_parts(config)
    config = config.settled(parts.train, parts.dev)
    known = [] if origin is None else load_labels(origin.path / LABELS)
    labels = [*known, *(word for word in labels_of(config, parts.train) if word not in known)]
    training = make_training(config, parts, labels)
    seconds = seconds_of(parts.train, config.rate)
    printer(console)(told(config.recipe, len(parts.train), seconds, training.num_steps))
    return Prepared(
        training,
        lambda folder, console: finish(folder, load_listener(folder), parts.test, console),
        files={LABELS: lambda path: save_labels(path, labels)},
        learned=config.chosen,
        grows=("w", "b"),
    )


EXPERIMENT = Experiment(NAME, prepare)


class Train(TrainCommand):
    """Train a network, or resume a training that was stopped, and test it.

    The run folder also gets labels.json, mistakes.txt, curves.png, and confusion.png or
    posteriors.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[SpeechConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure a trained network on the test of its run, or on all recordings of other data."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    data: pathlib.Path | None = None
    """Recordings, in the formats of train; the test of the run if not given."""
    join: tuple[int, int] | None = None
    """As for train; by default that of the run."""

    def run(self) -> None:
        """Measures and prints."""
        listener = load_listener(self.folder)
        if self.join is not None:
            changed = dataclasses.replace(listener.config, join=self.join)
            listener = listener._replace(config=changed)
        if self.data is None:
            recordings = read_parts(listener.config).test
        else:
            reading = listener.config.reading()
            recordings = read_recordings(self.data, listener.config.rate, reading)
            reading.tell()
        heard = listener.listen(recordings)
        print_summary(heard, summarise(heard, listener, recordings), listener, Console())


class Predict(PredictCommand):
    """Transcribe wav files: one line per file, its name and the words.

    A JSON record has file and words.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    sounds: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Wav files, of any sampling rate, or folders of them; - is standard input."""

    def run(self) -> None:
        """Transcribes and prints."""
        listener = load_listener(self.folder)

        def transcribe(paths: Sequence[pathlib.Path]) -> list[tuple[str, ...]]:
            return listener.transcribe([read_alone(path, listener.config.rate) for path in paths])

        predictor = Predictor(
            predict=transcribe,
            text=lambda path, words: f"{path}\t{' '.join(words)}",
            record=lambda path, words: {"file": str(path), "words": [*words]},
            at_once=64,
        )
        self.write(wav_files(self.sounds), predictor)


class Export(ExportCommand):
    """Export a trained network to a folder: ONNX, StableHLO, weights, model card.

    Features are computed in the graph, which reads samples. Needs the packages of the extra
    interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN


class Stream(RunCommand):
    """Transcribe a wav file, or the test of the run, piece by piece, as if it arrived now, with a
    network trained with --task row.

    Of a file it prints the words so far after each chunk that brings one; of the test, the label
    error rate beside that of the best path through whole sounds. Then it prints the latency: how
    long a sound waits for what follows it, and how long a chunk is computed. A JSON record has
    seconds and words, the last one the measures. A file is read whole first. README.md of this
    folder says where the words may differ from those of predict.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    sound: tyro.conf.Positional[pathlib.Path | None] = None
    """Wav file, of any sampling rate; - is standard input. The test of the run if not given."""
    chunk: float = CHUNK * SHIFT_SECONDS
    """Seconds of sound in a chunk, which is computed at once."""
    lookahead: float = LOOKAHEAD * SHIFT_SECONDS
    """Seconds after a chunk that the backward direction reads; a forward network needs none."""
    json: AsJson = False
    """Print JSON lines: one object for each chunk, and a last one with the latency."""

    def run(self) -> None:
        """Transcribes and prints."""
        if self.chunk <= 0 or self.lookahead < 0:
            raise ValueError("--chunk must be positive, and --lookahead not negative.")
        frames = [
            max(1, round(s / SHIFT_SECONDS)) if s else 0 for s in (self.chunk, self.lookahead)
        ]
        listener = load_listener(self.folder)
        live = LiveListener(listener, chunk=frames[0], lookahead=frames[1])
        told = self._transcribe(live, self.sound) if self.sound else self._measure(live, listener)
        print(json_line(told) if self.json else sentence_of(told))

    def _transcribe(self, live: LiveListener, path: pathlib.Path) -> dict[str, float]:
        """Prints what is heard in a file; returns the latency."""
        (path,) = wav_files([path])
        sound, spent, before = read_alone(path, live.model.features.rate), [], ()
        for heard in live.listen_to(sound.signal):
            spent.append(heard.compute_seconds)
            if self.json:
                print(json_line({"seconds": heard.seconds, "words": [*heard.words]}), flush=True)
            elif heard.words != before:
                print(f"{heard.seconds:.2f} s\t{' '.join(heard.words)}", flush=True)
            before = heard.words
        return latency_of(live.delay, spent, len(sound.signal) / live.model.features.rate)

    def _measure(self, live: LiveListener, listener: TrainedListener) -> dict[str, float]:
        """Prints how well the test is heard; returns that and the latency."""
        recordings = read_parts(listener.config).test
        streamed = stream_recordings(live, listener, recordings)
        rates = {
            "label_error_rate": error_rate_of(streamed.heard),
            "whole_label_error_rate": error_rate_of(listener.listen(recordings, greedy=True)),
        }
        if not self.json:
            print(
                f"{len(streamed.heard):,} sounds, {streamed.seconds:.0f} s: label error rate "
                f"{rates['label_error_rate']:.2%}, and {rates['whole_label_error_rate']:.2%} "
                "where each is heard as a whole."
            )
        return rates | latency_of(live.delay, streamed.spent, streamed.seconds)


class Directions(Options):
    """Draw the predictions of networks trained with --task row for one string, over its
    spectrogram.

    Train the second network with: train --task row --direction fwd --run runs/speech_row_fwd
    """

    picture: pathlib.Path
    """Where to draw."""
    runs: tuple[pathlib.Path, ...] = (
        pathlib.Path("runs") / f"{NAME}_row",
        pathlib.Path("runs") / f"{NAME}_row_fwd",
    )
    """Run folders."""
    row: int = 0
    """Which string of the test."""

    def run(self) -> None:
        """Prints the error rates, and draws."""
        listeners = {}
        for path in self.runs:
            folder = EXPERIMENT.open(path)
            listener = load_listener(folder)
            if listener.config.task != "row":
                raise ValueError(f"{path} was trained with --task label: it has no CTC to draw.")
            rate = read_result(folder)["metrics"]["label_error_rate"]
            print(f"{path}: direction {listener.config.direction}, label error rate {rate:.2%}")
            listeners[f"direction {listener.config.direction}"] = listener
        test = read_parts(next(iter(listeners.values())).config).test
        plot_posteriors(self.picture, hearing(listeners, test, self.row))


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        Train | Evaluate | Predict | Stream | Export | Directions,
        "Spoken digits with a bidirectional recurrent network, alone and in strings.",
    )


if __name__ == "__main__":
    main()
