"""The settings of models that predict from one side or from both."""

import dataclasses
import functools
import pathlib

from birnn_jax import Bi
from experiments.bilm_leakage.model import Task, direction_of
from experiments.characters.model import CharModel, cell_with_init
from experiments.runner.data.files import DATA

SHIJING = DATA / "charlm_zh_shijing.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SidesConfig:
    """Everything that decides the outcome of a run."""

    task: Task = "leaky"
    """What is predicted from what; see the top of experiments/bilm_leakage/model.py."""
    text: pathlib.Path = SHIJING
    """The text to learn from: any text in UTF-8, plain or .gz."""
    held_out: float = 0.1
    """Share of the text, at its end, that is measured on."""
    hidden_size: int = 128
    """Hidden units of each direction of the GRU."""
    dropout: float = 0.2
    """Rate of dropout before the softmax layer, one mask for all steps."""
    gap: int = 4
    """Characters of a gap, in the tasks with gaps of several."""
    steps: int = 32
    """Characters of a window; states are zero at its ends."""
    batch_size: int = 16
    """Windows of a minibatch."""
    epochs: int = 12
    """Passes over the text."""
    learning_rate: float = 0.01
    """Highest learning rate of Adam; it falls as a cosine to nothing at the end."""
    clip_norm: float = 1.0
    """Longest gradient; a longer one is scaled down."""
    seed: int = 0
    """Seed of parameters, windows, gaps and dropout. The same seed gives the same run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        positive = ("hidden_size", "gap", "steps", "batch_size", "epochs", "learning_rate")
        for name in (*positive, "clip_norm", "held_out"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive.")
        for name in ("held_out", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1.")

    @property
    def models(self) -> Bi[CharModel]:
        """The static part of the model, or of the models of both directions."""
        make = functools.partial(CharModel, cell_with_init("gru", "torch"), 1, dropout=self.dropout)
        if self.task == "elmo":
            return Bi(make(direction="fwd"), make(direction="bwd"))
        one = make(direction=direction_of(self.task))
        return Bi(one, one)

    @property
    def gap_length(self) -> int:
        """Characters of a gap in this task."""
        return 1 if self.task == "masked" else self.gap
