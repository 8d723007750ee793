"""Spoken digits from real recordings: one at a time, and strings of them without their times.

    python -m experiments.speech train
    python -m experiments.speech train --task row --run runs/speech_row
    python -m experiments.speech predict --run runs/speech_row call.wav

Question: how well does a small bidirectional network hear digits of speakers it knows and of one it
does not, and what is the second direction for in CTC? The results are in experiments/README.md.
"""

import dataclasses
import pathlib
from typing import Annotated

import tyro
from rich.console import Console

from experiments.runner.devices.machines import OnMachines
from experiments.runner.run import loop
from experiments.runner.run.command import run_command
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import read_result
from experiments.speech.config import SpeechConfig
from experiments.speech.data import labels_of, read_parts, read_recordings, save_labels
from experiments.speech.report import finish, hearing, plot_posteriors, print_summary, summarise
from experiments.speech.sounds import read_alone
from experiments.speech.training import load_listener, make_training, start_run

NAME = "speech"
RUN = pathlib.Path("runs") / NAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a network, or go on with a training that was stopped, and look at what it hears.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, labels.json,
    result.json, mistakes.txt, curves.png, and confusion.png or posteriors.png. A training that was
    killed or interrupted goes on with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[SpeechConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        console = Console()
        parts = read_parts(self.config)
        labels = labels_of(self.config, parts.train)
        training = make_training(self.config, parts, labels)
        folder = start_run(self.run_folder, self.config, experiment=NAME)
        save_labels(folder, labels)
        loop.fit(folder, training, console)
        finish(folder, load_listener(folder), parts.test, console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained network on the test of its run, or on all recordings of other data."""

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the network."""
    data: pathlib.Path | None = None
    """Recordings, in the formats of train; the test of the run if not given."""
    join: tuple[int, int] | None = None
    """Strings to join them to, as for train; as the run did if not given."""

    def run(self) -> None:
        """Measures and prints."""
        listener = load_listener(RunFolder.open(self.run_folder, experiment=NAME))
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Write down what is said in wav files: a line each, the file and the words."""

    sounds: tyro.conf.Positional[tuple[pathlib.Path, ...]]
    """Wav files, of any sampling rate."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the network. Nothing else is read."""

    def run(self) -> None:
        """Listens and prints."""
        if not self.sounds:
            raise ValueError("There is no wav file to listen to.")
        listener = load_listener(RunFolder.open(self.run_folder, experiment=NAME))
        recordings = [read_alone(path, listener.config.rate) for path in self.sounds]
        for path, words in zip(self.sounds, listener.transcribe(recordings), strict=True):
            print(f"{path}\t{' '.join(words)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Directions:
    """Draw what networks trained with --task row hear in one string, over its spectrogram.

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
            folder = RunFolder.open(path, experiment=NAME)
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
        Train | Evaluate | Predict | Directions,
        program=f"python -m experiments.{NAME}",
        description="Spoken digits with a bidirectional recurrent network, alone and in strings.",
    )


if __name__ == "__main__":
    main()
