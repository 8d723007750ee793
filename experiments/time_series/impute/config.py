"""The settings of a model that fills in missing values."""

import pathlib
from typing import NamedTuple

from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.choices import Direction
from experiments.runner.run.settings import RunSettings, require


class ImputeModel(NamedTuple):
    """How windows are read, and what the loss weighs: everything static about the model."""

    direction: Direction
    consistency: float


class ImputeConfig(ReadSettings, RunSettings):
    """All settings that determine the results of a run."""

    table: pathlib.Path
    """Measurements: comma-separated text, plain or .gz. The first line has the column names; each
    following line is one time step, with its time in the first column. Values may be missing."""
    dev_from: str = ""
    """Time at which the rows for development begin; after six tenths of all if not given. Rows
    before it are trained on."""
    test_from: str = ""
    """Time at which the rows for the test begin; after eight tenths of all if not given."""
    steps: int = 48
    """Steps of a window."""
    hidden: float = 0.1
    """Share of the observed values that is hidden in every part; the same values in all epochs."""

    direction: Direction = "both"
    """Directions in which a window is read."""
    hidden_size: int = 64
    """Hidden units of each direction."""
    consistency: float = 0.1
    """Weight of the difference between the estimates of both directions in the loss."""
    concealed: float = 0.0
    """Share of the remaining values that is hidden in training, drawn anew in each batch."""
    anywhere: bool = True
    """Whether windows may begin anywhere in training, and not only where the part was cut."""
    windows_per_batch: int = 32
    """Windows of a batch."""
    epochs: int = 200
    """Largest number of epochs."""
    epochs_per_evaluation: int = 10
    """Epochs from one evaluation on dev, and one checkpoint, to the next."""
    patience: int = 40
    """Evaluations on dev without a new best before training stops early."""
    learning_rate: float = 5e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine to
    zero."""
    clip_norm: float = 5.0
    """Largest norm of the gradient; a larger gradient is scaled down."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("steps", "hidden", "hidden_size", "windows_per_batch")
        self.require_rates("hidden", "concealed")
        require(self.consistency >= 0, f"consistency must not be negative, got {self.consistency}")

    @property
    def model(self) -> "ImputeModel":
        """The static part of the model."""
        return ImputeModel(self.direction, self.consistency)
