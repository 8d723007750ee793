"""The settings of a language model over characters."""

import dataclasses
import pathlib
from typing import Any, Literal

import jax
import optax

from birnn_jax import Cell, Layer, make_optimizer
from birnn_jax.training import with_average
from experiments.characters.windows import Sampling
from experiments.runner.data.files import DATA
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.choices import CELLS, METHODS, BasicCell, Direction
from experiments.runner.run.settings import Settings, require

Initializer = Literal["normal", "torch", "orthogonal"]


@dataclasses.dataclass(frozen=True)
class CharModel:
    """The shape of the model, and how it is regularised: everything static about it."""

    cell: Cell
    num_layers: int
    direction: Direction = "fwd"
    residual: bool = False  # a connection around each layer but the first
    layer_norm: bool = False  # of what each layer but the first reads
    dropout: float = 0.0

    @property
    def layers(self) -> tuple[Layer, ...]:
        """From the bottom to the top."""
        first = Layer(self.cell, direction=self.direction)
        above = dataclasses.replace(
            first,
            norm="pre" if self.layer_norm else "none",
            connection="residual" if self.residual else "none",
        )
        return (first, *(above,) * (self.num_layers - 1))


def cell_with_init(name: str, initializer: Initializer) -> Cell:
    """A cell that starts in one of three ways.

    "normal": weights N(0, 0.01^2), biases zero, as written from scratch by hand. "torch": uniform
    within 1/sqrt(H), as a torch.nn layer. "orthogonal": recurrent weights orthogonal gate by gate,
    input weights Glorot-uniform, biases zero but for the forget gate's one.
    """
    cell = CELLS[name]
    if initializer == "orthogonal":
        return cell
    if initializer == "torch":
        return cell.with_init(w_x="torch", w_h="torch", b="torch")
    no_bias = {"forget_bias": 0.0} if name == "lstm" else {}
    return cell.with_init(w_x=normal, w_h=normal, **no_bias)


def normal(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    """Draws from N(0, 0.01^2)."""
    return 0.01 * jax.random.normal(key, shape)


TATOEBA = DATA / "charlm_zh_tatoeba_10k.txt"


class LanguageConfig(ReadSettings, Settings):
    """All settings that determine the results of a run."""

    text: pathlib.Path = TATOEBA
    """The text to learn from: any text, plain or .gz."""
    characters: int | None = None
    """How many characters of the text to use, from its beginning; all if not given."""
    held_out: float = 0.1
    """Share of the text, at its end, that is held out for evaluation. With 0 the best checkpoint is
    chosen on the training text."""

    cell: BasicCell = "lstm"
    """Recurrent cell."""
    direction: Direction = "fwd"
    """Directions in which the text is read. With "both" the model reads the characters that it
    predicts."""
    layers: int = 1
    """Recurrent layers."""
    hidden_size: int = 256
    """Hidden units of each layer and direction."""
    residual: bool = False
    """A residual connection around each layer but the first."""
    layer_norm: bool = False
    """Layer normalisation of the inputs of each layer but the first."""
    init: Initializer = "torch"
    """Initialisation of weights: "normal", N(0, 0.01^2) and no bias; "torch", uniform as in
    torch.nn; "orthogonal", recurrent weights orthogonal gate by gate and a forget bias of one."""
    dropout: float = 0.0
    """Rate of dropout between layers and before the softmax layer, one mask for all steps."""

    sampling: Sampling = "adjacent"
    """Minibatches of adjacent windows, with the state carried over and its gradient stopped; or of
    windows in random order, each from a state of zeros."""
    steps: int = 35
    """Characters of a window."""
    batch_size: int = 32
    """Windows of a minibatch."""
    epochs: int = 160
    """Number of epochs."""
    method: Literal["adam", "sgd"] = "adam"
    """Optimiser."""
    learning_rate: float = 0.01
    """Highest learning rate."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over the run: constant, or rising for the first 2 % and then falling as a
    cosine to zero."""
    clip_norm: float = 0.01
    """Largest norm of the gradient; a larger gradient is scaled down."""
    average_decay: float = 0.0
    """Decay of the average of the parameters that is evaluated; 0 switches the average off."""
    epochs_per_evaluation: int = 10
    """Epochs from one evaluation, and one checkpoint, to the next."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        self.require_positive("layers", "hidden_size", "steps", "batch_size", "epochs")
        self.require_positive("learning_rate", "clip_norm", "epochs_per_evaluation")
        self.require_rates("dropout", "average_decay", "held_out")
        require(self.characters is None or self.characters > 1, "characters must be at least 2")
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

    def make_optimizer(self, num_steps: int) -> optax.GradientTransformation:
        """Clipping, the method at its learning rate, and the average of the parameters."""
        rate: Any = self.learning_rate
        if self.schedule == "cosine":
            rate = optax.warmup_cosine_decay_schedule(
                0.0, rate, warmup_steps=num_steps // 50 + 1, decay_steps=num_steps + 1
            )
        optimizer = make_optimizer(rate, clip_norm=self.clip_norm, method=METHODS[self.method])
        return with_average(optimizer, self.average_decay)
