"""The commands of `python -m experiments.music infill`."""

import pathlib
from typing import Annotated, Literal

import numpy as np
import tyro
from rich.console import Console

from experiments.music.config import NAME
from experiments.music.data import notes_of, read_parts, read_test
from experiments.music.infill.config import InfillConfig
from experiments.music.infill.data import VOICES, hidden_span, hidden_voice, to_roll, to_voices
from experiments.music.infill.export import exported
from experiments.music.infill.model import TrainedInfiller, load_infiller, make_training
from experiments.music.infill.report import finish, print_measures
from experiments.music.midi import read_midi, write_midi
from experiments.music.report import Strip, plot_rolls
from experiments.runner.data.files import require_new
from experiments.runner.export.command import ExportCommand
from experiments.runner.run.commands import NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options
from experiments.runner.run.predicting import AsJson, json_line

RUN = pathlib.Path("runs") / f"{NAME}_infill"


def prepare(
    config: InfillConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the pieces of a run, and says what to train and to test."""
    reading = config.reading()
    rolls = read_parts(config, reading)
    reading.tell()
    return Prepared(
        make_training(config, rolls["train"], rolls["dev"]),
        lambda folder, console: finish(folder, load_infiller(folder), rolls["test"], console),
    )


EXPERIMENT = Experiment(NAME, prepare, task="infill")


class Train(TrainCommand):
    """Train a model to fill in hidden notes, or resume a training that was stopped, and test it.

    To see what the second direction gives, train another with --direction fwd. The run folder also
    gets curves.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[InfillConfig]
    run_folder: NewRun = RUN


class Evaluate(RunCommand):
    """Measure a trained model on the test part, each voice hidden in turn, and bars."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    data: pathlib.Path | None = None
    """Pieces, in the formats of train; those of the run if not given."""

    def run(self) -> None:
        """Measures and prints."""
        infiller = load_infiller(self.folder)
        rolls = read_test(self.data, infiller.config)
        print_measures(infiller.measure(rolls), Console())


class Fill(Options):
    """Hide a voice or a bar of a piece, and let trained models fill it in.

    With several run folders, such as one unidirectional and one bidirectional, all models fill in
    the same notes.
    """

    runs: Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(name="run")] = (RUN,)
    """Run folders of the models. Of several the first writes the MIDI file."""
    midi: pathlib.Path | None = None
    """Where to write the piece with the notes filled in; it must not exist yet."""
    picture: pathlib.Path | None = None
    """Where to draw the piece and the result of each model."""
    piece: str = "1"
    """A MIDI file, or the number of a piece of the test part of the data of the first run."""
    voice: Literal["soprano", "alto", "tenor", "bass"] | None = None
    """The voice to hide, throughout. If not given, a bar is hidden."""
    bar: int = 4
    """The bar to hide, in all voices; the first is 1."""
    json: AsJson = False
    """Print JSON lines: for each run its folder, the share of notes that are as they were, how many
    were hidden, and the MIDI numbers of each frame."""

    def run(self) -> None:
        """Fills in, prints how much of it is as it was, writes and draws."""
        if self.midi:
            require_new(self.midi)
        infillers = [load_infiller(EXPERIMENT.open(path)) for path in self.runs]
        roll = self._read(infillers[0])
        voices = to_voices(roll)
        hidden = self._hidden(voices, infillers[0].config.bar)
        strips = [Strip("as it was", roll, _notes(voices, hidden))]
        for number, infiller in enumerate(infillers):
            filled = infiller.fill(voices, hidden)
            same = (filled == voices)[hidden].mean()
            words = f"filled in by direction {infiller.config.direction}: {same:.0%} as it was"
            record = {
                "run": str(self.runs[number]),
                "as_it_was": float(same),
                "hidden": int(hidden.sum()),
                "frames": notes_of(to_roll(filled)),
            }
            text = f"{self.runs[number]}: {words}, of {hidden.sum()} notes."
            print(json_line(record) if self.json else text)
            made = _notes(filled, hidden)
            strips.append(Strip(words, to_roll(filled), made, wrong=made & (roll == 0)))
            if self.midi and number == 0:
                write_midi(self.midi, to_roll(filled))
        if self.picture:
            plot_rolls(self.picture, strips, "hidden, filled in as it was")

    def _read(self, infiller: TrainedInfiller) -> np.ndarray:
        config = infiller.config
        if not self.piece.isdecimal():
            reading = config.reading()
            roll = read_midi(pathlib.Path(self.piece), reading, config.frames_per_beat)
            reading.tell()
            return roll
        rolls = read_test(None, config)
        if not 1 <= int(self.piece) <= len(rolls):
            raise ValueError(f"The test part has the pieces 1 to {len(rolls)}, got {self.piece}.")
        return rolls[int(self.piece) - 1]

    def _hidden(self, voices: np.ndarray, size: int) -> np.ndarray:
        sounding = voices >= 0
        if self.voice is not None:
            return hidden_voice(len(voices), VOICES.index(self.voice)) & sounding
        bars = -(-len(voices) // size)
        if not 1 <= self.bar <= bars:
            raise ValueError(f"The piece has the bars 1 to {bars}, got {self.bar}.")
        hidden = hidden_span(len(voices), (self.bar - 1) * size, size) & sounding
        if not hidden.any():
            raise ValueError(f"Nothing sounds in bar {self.bar}: choose another.")
        return hidden


def _notes(voices: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The chosen notes of voices, `[T, 88]` bool."""
    return to_roll(np.where(chosen, voices, -1)) > 0


class Export(ExportCommand):
    """Export a trained model to a folder: ONNX, StableHLO, weights, model card.

    Needs the packages of the extra interop.
    """

    experiment, exported = EXPERIMENT, staticmethod(exported)
    run_folder: OldRun = RUN
