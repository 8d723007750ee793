"""The settings of a model that fills in hidden notes."""

from typing import Literal, NamedTuple

from birnn_jax import Layer
from experiments.music.config import RollSettings
from experiments.runner.run.choices import CELLS


class InfillModel(NamedTuple):
    """The shape of the model, and how it is trained: everything static about it."""

    layers: tuple[Layer, ...]
    dropout: float
    transpose: int
    bar: int


class InfillConfig(RollSettings):
    """All settings that determine the results of a run."""

    direction: Literal["both", "fwd", "bwd"] = "both"
    """Directions in which a piece is read."""
    layers: int = 1
    """Recurrent layers."""
    hidden_size: int = 128
    """Hidden units of each layer and direction."""
    dropout: float = 0.2
    """Rate of dropout of the outputs of every layer, one mask for all frames of a piece."""
    bar: int = 4
    """Frames of a bar."""
    epochs: int = 24
    """Largest number of epochs."""
    epochs_per_evaluation: int = 4
    """Epochs from one evaluation on dev, and one checkpoint, to the next."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        super().__post_init__()
        self.require_positive("layers", "hidden_size", "bar")
        self.require_rates("dropout")

    @property
    def model(self) -> "InfillModel":
        """The static part of the model."""
        layers = (Layer(CELLS[self.cell], direction=self.direction),) * self.layers
        return InfillModel(layers, self.dropout, self.transpose, self.bar)
