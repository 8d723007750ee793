"""The settings of a network that reads speech."""

import dataclasses
import pathlib
from typing import Literal

from birnn_jax import Layer
from experiments.runner.data.files import DATA
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.choices import CELLS, BasicCell, Direction, Readout
from experiments.runner.run.settings import RunSettings, require
from experiments.speech.features import Features, Kind

Task = Literal["label", "row"]


@dataclasses.dataclass(frozen=True)
class SpeechModel:
    """The shape of the model, and how it is regularised: everything static about it."""

    task: Task
    features: Features
    layers: tuple[Layer, ...]
    readout: Readout = "max"
    dropout: float = 0.0
    noise: float = 0.0  # standard deviation of what is added to the features in training


BUNDLED = DATA / "fsdd_mfcc13_int8.npz"


class SpeechConfig(ReadSettings, RunSettings):
    """Everything that decides the outcome of a run."""

    data: pathlib.Path = BUNDLED
    """Recordings with what is said in them: a folder of wav files with transcripts, or an .npz of
    the Free Spoken Digit Dataset."""
    held_out_speaker: str | None = None
    """Tests on all recordings of this speaker and trains on none of them; without, the test is
    that of the data, of speakers who are heard in training."""
    task: Task = "label"
    """Whether one label is learned for each recording, or a row of labels by CTC."""
    join: tuple[int, int] | None = None
    """With --task row: strings of so many recordings, fewest and most, of one speaker are joined;
    1 1 takes recordings as they are. If not given, 3 7 where each recording is one word."""
    strings: int = 1000
    """Joined strings of a pass, new ones in each; half as many are for dev and for test."""

    features: Kind = "mfcc"
    """What is computed of the sound every 10 ms: 13 cepstra or 26 log powers in mel bands."""
    deltas: int = 2
    """How many times their differences over time are added."""
    normalise: bool = True
    """Every feature has mean 0 and variance 1 over each recording."""
    rate: int = 8000
    """Samples a second to which wav files of other rates are resampled."""

    cell: BasicCell = "lstm"
    """Recurrent cell."""
    direction: Direction = "both"
    """Directions in which every layer reads the sound."""
    hidden_size: int = 96
    """Hidden units of each layer and direction."""
    subsample: tuple[int, ...] = (2, 2)
    """Steps that each layer, from the bottom up, reads as one: as many layers as numbers."""
    readout: Readout = "max"
    """With --task label: how the outputs of all steps become one vector."""
    dropout: float = 0.4
    """Rate of dropout between layers; of features half of that."""
    noise: float = 0.3
    """Standard deviation of noise on the features in training."""

    epochs: int = 20
    """Passes over the training data, at most."""
    batch_size: int = 32
    """Recordings or strings of a batch."""
    learning_rate: float = 4e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine
    to nothing at its end."""
    beam_width: int = 16
    """With --task row: beginnings that the search keeps when it decodes."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("rate", "hidden_size", "strings", "batch_size", "beam_width")
        self.require_rates("dropout")
        for name in ("noise", "deltas"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        require(bool(self.subsample), "subsample must have a number for each layer")
        require(min(self.subsample, default=1) > 0, "subsample must be positive")
        low, high = self.join or (1, 1)
        require(1 <= low <= high, "join must be two numbers, the fewest and the most")
        require(self.task == "row" or self.join is None, "join must be left out with --task label")

    @property
    def model(self) -> SpeechModel:
        """The static part of the model."""
        return SpeechModel(
            task=self.task,
            features=Features(self.features, self.rate, self.deltas, self.normalise),
            layers=tuple(
                Layer(CELLS[self.cell], direction=self.direction, subsample=every)
                for every in self.subsample
            ),
            readout=self.readout,
            dropout=self.dropout,
            noise=self.noise,
        )
