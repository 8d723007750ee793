"""The commands of `python -m experiments.music compose`."""

import pathlib
from collections.abc import Sequence

import numpy as np
import tyro
from rich.console import Console

from experiments.music.compose.config import MusicConfig
from experiments.music.compose.data import chord_of
from experiments.music.compose.generate import compose
from experiments.music.compose.model import TrainedComposer, load_composer, make_training
from experiments.music.compose.report import draw, finish
from experiments.music.config import NAME
from experiments.music.data import notes_of, read_parts, read_test
from experiments.music.midi import read_midi, write_midi
from experiments.runner.data.files import require_new
from experiments.runner.data.lines import Line, read_lines
from experiments.runner.export.command import ExportCommand
from experiments.runner.run.commands import NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.predicting import AsJson, json_line

RUN = pathlib.Path("runs") / NAME


def prepare(
    config: MusicConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the pieces of a run, and says what to train and to test."""
    reading = config.reading()
    rolls = read_parts(config, reading)
    reading.tell()
    return Prepared(
        make_training(config, rolls["train"], rolls["dev"]),
        lambda folder, console: finish(folder, load_composer(folder), rolls, console),
    )


EXPERIMENT = Experiment(NAME, prepare, task="compose")


class Train(TrainCommand):
    """Train a model to predict the next chord, or resume a training that was stopped, and test it.

    The run folder also gets curves.png, and a generated piece, sample.mid and sample.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[MusicConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure a trained model: nats per frame on the test part."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    data: pathlib.Path | None = None
    """Pieces, in the formats of train; those of the run if not given."""

    def run(self) -> None:
        """Measures and prints."""
        composer = load_composer(self.folder)
        rolls = read_test(self.data, composer.config)
        frames = sum(len(roll) - 1 for roll in rolls)
        nats = composer.measure(rolls)
        print(f"{len(rolls)} pieces, {frames:,} frames after the first: {nats:.4f} nats per frame.")


class Generate(RunCommand):
    """Continue a chord or a MIDI file with a trained model, and write the piece as a MIDI file; or
    each chord of a text file or each of several MIDI files, and write a folder of MIDI files.

    The same seed gives the same piece, alone and beside others.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    midi: tyro.conf.Positional[pathlib.Path]
    """File to write, with --file or several of --beginning the folder of 1.mid, 2.mid and so on; it
    must not exist yet."""
    chord: str = "C4 C5 G5 E6"
    """The first chord: notes such as C4, F#3, Bb5, or MIDI numbers, with spaces between them."""
    file: pathlib.Path | None = None
    """File of first chords, one per line, in place of one chord; - is standard input."""
    beginning: tuple[pathlib.Path, ...] = ()
    """MIDI files to continue, in place of a chord."""
    frames: int = 64
    """Number of frames to generate."""
    voices: int = 4
    """Notes that sound at once, at most."""
    temperature: float = 1.0
    """Divides the logits: below 1 safer, above 1 bolder."""
    beats_per_minute: int = 80
    """Tempo of the file."""
    seed: int = 0
    """Seed of the random draws."""
    picture: pathlib.Path | None = None
    """Where to draw the piano roll of one piece."""
    json: AsJson = False
    """Print a JSON record for each piece: the file, how many frames were given, and the MIDI
    numbers of each."""

    def run(self) -> None:
        """Composes and writes."""
        has_several = self.file is not None or len(self.beginning) > 1
        if self.file is not None and self.beginning:
            raise ValueError("Give first chords with --file or MIDI files with --beginning.")
        if has_several and self.picture:
            raise ValueError("--picture draws one piece: give it without --file, one --beginning.")
        require_new(self.midi)
        composer = load_composer(self.folder)
        beginnings = self._beginnings(composer.config)
        rolls = self._compose(composer, beginnings)
        if has_several:
            self.midi.mkdir(parents=True)
        for number, (beginning, roll) in enumerate(zip(beginnings, rolls, strict=True), start=1):
            path = self.midi / f"{number}.mid" if has_several else self.midi
            write_midi(path, roll, beats_per_minute=self.beats_per_minute)
            if self.json:
                record = {"file": str(path), "given": len(beginning), "frames": notes_of(roll)}
                print(json_line(record))
            else:
                print(f"{path}: {len(roll)} frames, {self.frames} of them generated.")
        if self.picture:
            draw(self.picture, rolls[0], len(beginnings[0]))

    def _compose(
        self, composer: TrainedComposer, beginnings: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        """The piece after each beginning; those after beginnings of one length together."""
        pieces: dict[int, np.ndarray] = {}
        lengths = [len(beginning) for beginning in beginnings]
        for length in set(lengths):
            numbers = [number for number, other in enumerate(lengths) if other == length]
            made = compose(
                composer.config.model,
                composer.params,
                np.stack([beginnings[number] for number in numbers]),
                frames=self.frames,
                voices=self.voices,
                temperature=self.temperature,
                seed=self.seed,
            )
            pieces |= zip(numbers, made, strict=True)
        return [pieces[number] for number in range(len(beginnings))]

    def _beginnings(self, config: MusicConfig) -> list[np.ndarray]:
        """What each piece begins with, `[T, 88]`."""
        reading = config.reading()
        if self.file is not None:
            lines = read_lines((), self.file, reading, what="chord")
            reading.tell()
            return [_chord_at(line) for line in lines]
        if self.beginning:
            rolls = [read_midi(path, reading, config.frames_per_beat) for path in self.beginning]
            reading.tell()
            return rolls
        return [chord_of(self.chord)]


def _chord_at(line: Line) -> np.ndarray:
    try:
        return chord_of(line.text)
    except ValueError as error:
        raise ValueError(f"{line.place}: {error}") from None


class Export(ExportCommand):
    """Export a trained model to a folder: ONNX, StableHLO, weights, model card.

    Needs the packages of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
