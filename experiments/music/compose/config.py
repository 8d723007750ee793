"""The settings of a model that continues music."""

import dataclasses
from typing import NamedTuple

from birnn_jax import Layer
from experiments.music.config import RollSettings
from experiments.runner.run.choices import CELLS


class MusicModel(NamedTuple):
    """The shape of the model, and how it is regularised: everything static about it."""

    layers: tuple[Layer, ...]
    dropout: float
    input_dropout: float
    transpose: int


class MusicConfig(RollSettings):
    """All settings that determine the results of a run."""

    layers: int = 1
    """Recurrent layers, each but the first with a connection around it."""
    hidden_size: int = 200
    """Hidden units of each layer."""
    dropout: float = 0.5
    """Rate of dropout of the outputs of every layer, one mask for all frames of a piece."""
    input_dropout: float = 0.1
    """Rate of dropout of the keys that are read, one mask for all frames of a piece."""
    epochs: int = 48
    """Largest number of epochs."""
    epochs_per_evaluation: int = 4
    """Epochs from one evaluation on dev, and one checkpoint, to the next."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("layers", "hidden_size")
        self.require_rates("dropout", "input_dropout")

    @property
    def model(self) -> "MusicModel":
        """The static part of the model."""
        first = Layer(CELLS[self.cell], direction="fwd")
        above = dataclasses.replace(first, connection="residual")
        layers = (first, *(above,) * (self.layers - 1))
        return MusicModel(layers, self.dropout, self.input_dropout, self.transpose)
