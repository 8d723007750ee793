"""The settings of a classifier of series."""

import pathlib
from typing import NamedTuple

from birnn_jax import Layer
from experiments.runner.data.files import DATA
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.choices import CELLS, BasicCell, Direction, Readout
from experiments.runner.run.settings import RunSettings, require


class SeriesModel(NamedTuple):
    """The shape of the model, and how it is regularised: everything static about it."""

    layers: tuple[Layer, ...]
    readout: Readout
    dropout: float
    noise: float


BUNDLED = DATA / "japanese_vowels.npz"


class SeriesConfig(ReadSettings, RunSettings):
    """All settings that determine the results of a run."""

    train: pathlib.Path = BUNDLED
    """Series to train on: a .ts file of the UEA and UCR archives, plain or .gz, or the bundled
    .npz."""
    test: pathlib.Path | None = None
    """Series for the test, looked at once, after training. If not given, the part test of the file
    of --train; without one, a tenth of train that is split off."""
    dev_every: int = 10
    """Hold out one in this number of series of each class of --train, to choose the best
    checkpoint."""

    cell: BasicCell = "gru"
    """Recurrent cell."""
    direction: Direction = "both"
    """Directions in which each layer reads."""
    layers: int = 2
    """Recurrent layers."""
    hidden_size: int = 64
    """Hidden units of each layer and direction."""
    readout: Readout = "mean"
    """Readout of all steps as one vector: see `birnn_jax.classifier`."""

    dropout: float = 0.3
    """Rate of dropout between layers."""
    noise: float = 0.6
    """Deviation of normal noise that is added to the values in training, which have deviation 1."""
    series_per_batch: int = 16
    """Series in a batch of the longest bucket; batches of shorter series have more."""
    buckets: int = 2
    """Different lengths of padded batches, at most; each is compiled once."""
    epochs: int = 60
    """Largest number of epochs."""
    patience: int = 60
    """Evaluations on dev without a new best before training stops early."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("layers", "hidden_size", "series_per_batch", "buckets")
        self.require_rates("dropout")
        require(self.dev_every >= 2, f"dev_every must be at least 2, got {self.dev_every}")
        require(self.noise >= 0, f"noise must not be negative, got {self.noise}")

    @property
    def files(self) -> dict[str, pathlib.Path]:
        """The file that each part is read from."""
        return {"train": self.train, "test": self.test or self.train}

    @property
    def model(self) -> "SeriesModel":
        """The static part of the model."""
        layers = (Layer(CELLS[self.cell], direction=self.direction),) * self.layers
        return SeriesModel(layers, self.readout, self.dropout, self.noise)
