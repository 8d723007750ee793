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
from experiments.music.infill.model import TrainedInfiller, load_infiller, make_training
from experiments.music.infill.report import finish, print_measures
from experiments.music.midi import read_midi, write_midi
from experiments.music.report import Strip, plot_rolls
from experiments.runner.data.files import require_new
from experiments.runner.data.lines import Line, read_lines
from experiments.runner.export.command import ExportCommand
from experiments.runner.run.commands import NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options, Words
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
    """Hide a voice or a bar of pieces, and let trained models fill it in.

    With several run folders, such as one unidirectional and one bidirectional, all models fill in
    the same notes.
    """

    runs: Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(name="run")] = (RUN,)
    """Run folders of the models. Of several the first writes MIDI files."""
    file: pathlib.Path | None = None
    """File of pieces, each on a line as for --piece; - is standard input."""
    midi: pathlib.Path | None = None
    """Where to write the piece with the notes filled in, or of several pieces the folder of 1.mid,
    2.mid and so on; it must not exist yet."""
    picture: pathlib.Path | None = None
    """Where to draw one piece and the result of each model."""
    pieces: Annotated[Words, tyro.conf.arg(name="piece")] = ()
    """MIDI files, or numbers of pieces of the test part of the data of the first run. Without
    --piece and --file, it is piece 1."""
    voice: Literal["soprano", "alto", "tenor", "bass"] | None = None
    """The voice to hide, throughout. If not given, a bar is hidden."""
    bar: int = 4
    """The bar to hide, in all voices; the first is 1."""
    json: AsJson = False
    """Print JSON lines: for each piece and run the piece, the run folder, the share of notes that
    are as they were, how many were hidden, and the MIDI numbers of each frame."""

    def run(self) -> None:
        """Fills in, prints how much of it is as it was, writes and draws."""
        if self.midi:
            require_new(self.midi)
        infillers = [load_infiller(EXPERIMENT.open(path)) for path in self.runs]
        lines, rolls = self._read(infillers[0].config)
        has_several = len(rolls) > 1
        if has_several and self.picture:
            raise ValueError(f"--picture draws one piece, got {len(rolls)}. Leave one of both out.")
        voices = [to_voices(roll) for roll in rolls]
        size = infillers[0].config.bar
        hidden = [self._hidden(*pair, size) for pair in zip(lines, voices, strict=True)]
        if self.midi and has_several:
            self.midi.mkdir(parents=True)
        for number, line in enumerate(lines):
            strips = [Strip("as it was", rolls[number], _notes(voices[number], hidden[number]))]
            for path, infiller in zip(self.runs, infillers, strict=True):
                filled = infiller.fill(voices[number], hidden[number])
                told = self._tell(path, infiller, line.text, voices[number], hidden[number], filled)
                made = _notes(filled, hidden[number])
                wrong = made & (rolls[number] == 0)
                strips.append(Strip(told, to_roll(filled), made, wrong=wrong))
                if self.midi and infiller is infillers[0]:
                    file = self.midi / f"{number + 1}.mid" if has_several else self.midi
                    write_midi(file, to_roll(filled))
            if self.picture:
                plot_rolls(self.picture, strips, "hidden, filled in as it was")

    def _tell(
        self,
        path: pathlib.Path,
        infiller: TrainedInfiller,
        piece: str,
        voices: np.ndarray,
        hidden: np.ndarray,
        filled: np.ndarray,
    ) -> str:
        """Prints what a model made of a piece; gives the title of its picture."""
        same = (filled == voices)[hidden].mean()
        words = f"filled in by direction {infiller.config.direction}: {same:.0%} as it was"
        record = {
            "piece": piece,
            "run": str(path),
            "as_it_was": float(same),
            "hidden": int(hidden.sum()),
            "frames": notes_of(to_roll(filled)),
        }
        text = f"{path}, piece {piece}: {words}, of {hidden.sum()} notes."
        print(json_line(record) if self.json else text, flush=True)
        return words

    def _read(self, config: InfillConfig) -> tuple[list[Line], list[np.ndarray]]:
        """The pieces as they were named, and the roll of each."""
        reading = config.reading()
        given = self.pieces or (() if self.file else ("1",))
        lines = read_lines(given, self.file, reading, what="piece")
        of_test = read_test(None, config) if any(line.text.isdecimal() for line in lines) else []
        rolls = []
        for line in lines:
            if not line.text.isdecimal():
                midi = pathlib.Path(line.text)
                rolls.append(read_midi(midi, reading, config.frames_per_beat))
            elif 1 <= int(line.text) <= len(of_test):
                rolls.append(of_test[int(line.text) - 1])
            else:
                raise ValueError(
                    f"{line.place}: the test part has the pieces 1 to {len(of_test)}, got "
                    f"{line.text}."
                )
        reading.tell()
        return lines, rolls

    def _hidden(self, line: Line, voices: np.ndarray, size: int) -> np.ndarray:
        sounding = voices >= 0
        if self.voice is not None:
            return hidden_voice(len(voices), VOICES.index(self.voice)) & sounding
        bars = -(-len(voices) // size)
        if not 1 <= self.bar <= bars:
            raise ValueError(f"The piece {line.text} has the bars 1 to {bars}, got {self.bar}.")
        hidden = hidden_span(len(voices), (self.bar - 1) * size, size) & sounding
        if not hidden.any():
            raise ValueError(f"Nothing sounds in bar {self.bar} of {line.text}: choose another.")
        return hidden


def _notes(voices: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The chosen notes of voices, `[T, 88]` bool."""
    return to_roll(np.where(chosen, voices, -1)) > 0


class Export(ExportCommand):
    """Export a trained model to a folder: ONNX, StableHLO, weights, model card.

    Needs the packages of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
