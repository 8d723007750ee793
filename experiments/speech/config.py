"""The settings of a network that reads speech."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from birnn_jax import Layer
from experiments.runner.data.files import DATA
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.choices import CELLS, BasicCell, Direction, Readout
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.settings import RunSettings, require
from experiments.speech.augment import NO_MASKS, Masks, Perturbation
from experiments.speech.features import Features, Kind
from experiments.speech.recipes import LARGE, Recipe, recipe_for, require_possible, seconds_of
from experiments.speech.sounds import Recording

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
    masks: Masks = NO_MASKS  # what is hidden of them in training


BUNDLED = DATA / "fsdd_mfcc13_int8.npz"


class SpeechConfig(ReadSettings, RunSettings):
    """All settings that determine the results of a run."""

    data: pathlib.Path = BUNDLED
    """Recordings and their transcripts: a folder of wav files with transcripts, or an .npz of the
    Free Spoken Digit Dataset."""
    held_out_speaker: str | None = None
    """Test on all recordings of this speaker and train on none of them. By default, the test set is
    that of the data, with speakers who are heard in training."""
    hold_out_dev: bool | None = None
    """Hold out a tenth of the training recordings for development where the data has no development
    set. By default, only where this gives 20 recordings or more."""
    task: Task = "label"
    """Predict one label for each recording, or a sequence of labels by CTC."""
    join: tuple[int, int] | None = None
    """With --task row: the fewest and the most recordings of one speaker that are joined to a
    string; 1 1 leaves recordings as they are. By default, 3 7 where each recording is one word."""
    strings: int = 1000
    """Number of joined strings of an epoch, new ones in each; dev and test have half as many."""

    features: Kind = "mfcc"
    """Features of the sound every 10 ms: 13 cepstra, or 26 log powers in mel bands."""
    deltas: int = 2
    """Number of orders of differences over time that are added to the features."""
    normalise: bool = True
    """Normalise every feature to mean 0 and variance 1 over each recording."""
    rate: int = 8000
    """Samples a second to which wav files of other rates are resampled."""

    cell: BasicCell = "lstm"
    """Recurrent cell."""
    direction: Direction = "both"
    """Directions in which every layer reads the sound."""
    hidden_size: int | None = None
    """Hidden units of each layer and direction; chosen by the size of the data if not given, as
    are all options that are None here."""
    subsample: tuple[int, ...] = (2, 2)
    """Number of steps that each layer reads as one, from the first layer to the last; one number
    for each layer."""
    readout: Readout = "max"
    """With --task label: how the outputs of all steps become one vector."""
    dropout: float | None = None
    """Rate of dropout between layers; features have half of this rate."""
    noise: float | None = None
    """Standard deviation of noise on the features in training."""
    speeds: tuple[float, ...] | None = None
    """In training each recording is played at one of these speeds, drawn anew in each epoch: 1.1 is
    a tenth faster and higher."""
    cut: float | None = None
    """In training, up to this many seconds, at most a tenth of the recording, are cut off at either
    end."""
    silence: float | None = None
    """In training, up to this many seconds of silence are added before and after each recording."""
    frequency_masks: tuple[int, int] | None = None
    """SpecAugment: number of masks over the 26 mel bands in training, and the largest number of
    bands of each mask."""
    time_masks: tuple[int, int] | None = None
    """SpecAugment: number of masks over time in training, and the largest number of frames of 10 ms
    of each mask, never more than a fifth of a recording."""

    epochs: int = 20
    """Largest number of epochs."""
    steps: int | None = None
    """Smallest number of optimiser steps of the training: a small set of recordings is repeated in
    each epoch to reach it; 0 never repeats."""
    batch_size: int = 32
    """Recordings or strings of a batch."""
    learning_rate: float = 4e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine to
    zero."""
    beam_width: int = 16
    """With --task row: width of the beam search."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("rate", "strings", "batch_size", "beam_width")
        require(self.deltas >= 0, "deltas must not be negative")
        require_possible(self.recipe)
        require(bool(self.subsample), "subsample must have a number for each layer")
        require(min(self.subsample, default=1) > 0, "subsample must be positive")
        low, high = self.join or (1, 1)
        require(1 <= low <= high, "join must be two numbers, the fewest and the most")
        require(self.task == "row" or self.join is None, "join must be left out with --task label")

    @property
    def recipe(self) -> Recipe:
        """What can be chosen by the size of the data: as given, else as for much data."""
        given = {name: getattr(self, name) for name in Recipe._fields}
        return LARGE._replace(**{name: v for name, v in given.items() if v is not None})

    def taking_up(self, run: RunFolder) -> Self:
        """The same settings, and for those not given what was chosen for the run that is taken up.

        Runs of before there was a choice are as for much data.
        """
        old = self.of(run)
        held_out = old.hold_out_dev is not False
        return self._filled({**old.recipe._asdict(), "hold_out_dev": held_out})

    def settled(self, train: Sequence[Recording], dev: Sequence[Recording]) -> Self:
        """The same settings, with what is not given chosen by the recordings."""
        chosen = recipe_for(seconds_of(train, self.rate))
        return self._filled({**chosen._asdict(), "hold_out_dev": bool(dev)})

    @property
    def chosen(self) -> dict[str, Any]:
        """The settings that may be chosen by the size of the data, once they are."""
        return {**self.recipe._asdict(), "hold_out_dev": self.hold_out_dev}

    def _filled(self, values: Mapping[str, Any]) -> Self:
        """The same settings, with those that are not given from `values`."""
        left = {name: v for name, v in values.items() if getattr(self, name) is None}
        return dataclasses.replace(self, **left)

    def perturbation(self, steps_per_second: float) -> Perturbation:
        """What changes of recordings are drawn from in training."""
        recipe = self.recipe
        return Perturbation(
            speeds=recipe.speeds,
            cut=round(recipe.cut * steps_per_second),
            silence=round(recipe.silence * steps_per_second),
        )

    @property
    def model(self) -> SpeechModel:
        """The static part of the model."""
        recipe = self.recipe
        return SpeechModel(
            task=self.task,
            features=Features(self.features, self.rate, self.deltas, self.normalise),
            layers=tuple(
                Layer(CELLS[self.cell], direction=self.direction, subsample=every)
                for every in self.subsample
            ),
            readout=self.readout,
            dropout=recipe.dropout,
            noise=recipe.noise,
            masks=Masks(recipe.frequency_masks, recipe.time_masks),
        )
