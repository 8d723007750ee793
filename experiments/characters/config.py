"""The settings of a language model over characters."""

import dataclasses
import pathlib
from typing import Any, Literal

from experiments.characters.model import (
    CharModel,
    Direction,
    Initializer,
    cell_with_init,
    initial_carry,
)
from experiments.characters.windows import Sampling
from experiments.runner.data.files import DATA
from experiments.runner.run.settings import require

TATOEBA = DATA / "charlm_zh_tatoeba_10k.txt"
_POSITIVE = (
    *("layers", "hidden_size", "steps", "batch_size", "epochs", "learning_rate", "clip_norm"),
    *("epochs_per_evaluation",),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """Everything that decides the outcome of a run."""

    text: pathlib.Path = TATOEBA
    """The text to learn from: any text in UTF-8, plain or .gz."""
    characters: int | None = None
    """How many characters of the text to use, from its beginning; all if not given."""
    held_out: float = 0.1
    """Share of the text, at its end, that is not trained on but measured on. With 0 the checkpoint
    that does best on the text trained on is the best."""

    cell: Literal["elman", "gru", "lstm"] = "lstm"
    """Recurrent cell."""
    direction: Direction = "fwd"
    """Directions in which the text is read. With "both" the model reads what it is to predict."""
    layers: int = 1
    """Recurrent layers."""
    hidden_size: int = 256
    """Hidden units of each layer and direction."""
    residual: bool = False
    """A residual connection around each layer but the first."""
    layer_norm: bool = False
    """Layer normalisation of what each layer but the first reads."""
    init: Initializer = "torch"
    """How weights start: "normal", N(0, 0.01^2) and no bias; "torch", uniform as in torch.nn;
    "orthogonal", recurrent weights orthogonal gate by gate and a forget bias of one."""
    dropout: float = 0.0
    """Rate of dropout between layers and before the softmax layer, one mask for all steps."""

    sampling: Sampling = "adjacent"
    """Minibatches of windows that go on where those before stopped, the state being carried over
    and its gradient stopped; or of windows in random order, each from a state of zeros."""
    steps: int = 35
    """Characters of a window."""
    batch_size: int = 32
    """Windows of a minibatch."""
    epochs: int = 160
    """Passes over the text."""
    method: Literal["adam", "sgd"] = "adam"
    """Optimiser."""
    learning_rate: float = 0.01
    """Highest learning rate."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over the run: the same throughout, or rising for the first 2 % and then
    falling as a cosine to nothing at the end."""
    clip_norm: float = 0.01
    """Longest gradient; a longer one is scaled down."""
    average_decay: float = 0.0
    """Decay of the average of the parameters that is evaluated; 0 is no average."""
    epochs_per_evaluation: int = 10
    """Passes from one evaluation, and one checkpoint, to the next."""
    seed: int = 0
    """Seed of parameters, order of the windows and dropout. The same seed gives the same run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        for name in _POSITIVE:
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(self.characters is None or self.characters > 1, "characters must be at least 2")
        for name in ("dropout", "average_decay", "held_out"):
            require(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1")
        for name in ("residual", "layer_norm"):
            has_effect = self.layers > 1 or not getattr(self, name)
            require(has_effect, f"{name} must have a layer to act on: give 2 layers or more")

    @property
    def model(self) -> CharModel:
        """The static part of the model."""
        return CharModel(
            cell=cell_with_init(self.cell, self.init),
            num_layers=self.layers,
            direction=self.direction,
            residual=self.residual,
            layer_norm=self.layer_norm,
            dropout=self.dropout,
        )

    @property
    def carry(self) -> Any:
        """The carry before the first minibatch."""
        return initial_carry(self.model, self.hidden_size, self.batch_size)
