"""The commands of `python -m experiments.music compose`."""

import dataclasses
import pathlib
from typing import Annotated

import tyro
from rich.console import Console

from experiments.music.compose.baselines import independent_keys, markov_keys
from experiments.music.compose.config import MusicConfig
from experiments.music.compose.data import chord_of
from experiments.music.compose.generate import compose
from experiments.music.compose.report import draw, finish
from experiments.music.compose.training import load_composer, make_training
from experiments.music.data import read_rolls, test_rolls
from experiments.music.midi import read_midi, write_midi
from experiments.runner.data.files import require_new
from experiments.runner.devices.machines import OnMachines
from experiments.runner.run import loop
from experiments.runner.run.tasks import open_run, start_run

NAME, TASK = "music", "compose"
RUN = pathlib.Path("runs") / "music"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a model to expect the next chord, or go on with a training that was stopped.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, result.json,
    curves.png, and a piece that the model made, sample.mid and sample.png. A training that was
    killed or interrupted goes on with the same command, and ends exactly as if it had not been.
    """

    config: tyro.conf.OmitArgPrefixes[MusicConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        config, console = self.config, Console()
        rolls = {
            part: read_rolls(config.data, part, config.frames_per_beat)
            for part in ("train", "valid", "test")
        }
        folder = start_run(self.run_folder, NAME, TASK, config, {"data": config.data})
        loop.fit(folder, make_training(config, rolls["train"], rolls["valid"]), console)
        composer = load_composer(folder)
        metrics = {
            "nats": composer.measure(rolls["test"]),
            "nats_dev": composer.measure(rolls["valid"]),
            "nats_markov": markov_keys(rolls["train"], rolls["test"]),
            "nats_independent": independent_keys(rolls["train"], rolls["test"]),
        }
        finish(folder, composer, rolls["test"][0][:1], metrics, console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure a trained model: nats a frame on the test part."""

    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the model."""
    data: pathlib.Path | None = None
    """Pieces, in the formats of train; those of the run if not given."""

    def run(self) -> None:
        """Measures and prints."""
        folder = open_run(self.run_folder, NAME, TASK)
        rolls = test_rolls(folder, self.data)
        frames = sum(len(roll) - 1 for roll in rolls)
        nats = load_composer(folder).measure(rolls)
        print(f"{len(rolls)} pieces, {frames:,} frames after the first: {nats:.4f} nats a frame.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Generate:
    """Let a trained model go on from a chord, and write what it makes as a MIDI file.

    The same seed gives the same piece.
    """

    midi: tyro.conf.Positional[pathlib.Path]
    """File to write; it must not exist yet."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the model. Nothing else is read."""
    chord: str = "C4 C5 G5 E6"
    """The first chord: notes such as C4, F#3, Bb5, or MIDI numbers, with spaces between them."""
    beginning: pathlib.Path | None = None
    """A MIDI file to go on from, in place of a chord."""
    frames: int = 64
    """Frames to make."""
    voices: int = 4
    """Notes that sound at once, at most."""
    temperature: float = 1.0
    """Below 1 safer, above 1 bolder."""
    beats_per_minute: int = 80
    """Tempo of the file."""
    seed: int = 0
    """Seed of the draws."""
    picture: pathlib.Path | None = None
    """Where to draw the piano roll."""

    def run(self) -> None:
        """Composes and writes."""
        require_new(self.midi)
        composer = load_composer(open_run(self.run_folder, NAME, TASK))
        if self.beginning is not None:
            beginning = read_midi(self.beginning, composer.config.frames_per_beat)
        else:
            beginning = chord_of(self.chord)
        roll = compose(
            *(composer.config.model, composer.params, beginning),
            frames=self.frames,
            voices=self.voices,
            temperature=self.temperature,
            seed=self.seed,
        )
        write_midi(self.midi, roll, beats_per_minute=self.beats_per_minute)
        if self.picture:
            draw(self.picture, roll, len(beginning))
        print(f"{self.midi}: {len(roll)} frames, of which {self.frames} were made.")
