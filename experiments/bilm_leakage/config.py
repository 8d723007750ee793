"""The settings of models that predict from one side or from both."""

import functools
import pathlib
from typing import Any, Literal

from birnn_jax import Bi
from experiments.characters.config import CharModel, cell_with_init
from experiments.runner.data.files import DATA
from experiments.runner.data.reading import ReadSettings
from experiments.runner.run.settings import Settings

Task = Literal["leaky", "elmo", "masked", "gap", "gap_left", "gap_right"]
TASKS: tuple[Task, ...] = ("leaky", "elmo", "masked", "gap", "gap_left", "gap_right")
_DIRECTIONS = {"gap_left": "fwd", "gap_right": "bwd"}


def direction_of(task: Task) -> Any:
    """In which directions the text is read."""
    return _DIRECTIONS.get(task, "both")


SHIJING = DATA / "charlm_zh_shijing.txt"


class SidesConfig(ReadSettings, Settings):
    """All settings that determine the results of a run."""

    task: Task = "leaky"
    """Which characters are predicted from which; see the top of
    experiments/bilm_leakage/model.py."""
    text: pathlib.Path = SHIJING
    """The text to learn from: any text, plain or .gz."""
    held_out: float = 0.1
    """Share of the text, at its end, that is held out for evaluation."""
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
    """Number of epochs."""
    learning_rate: float = 0.01
    """Highest learning rate of Adam; it falls as a cosine to zero at the end."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; a larger gradient is scaled down."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        self.require_positive("hidden_size", "gap", "steps", "batch_size", "epochs")
        self.require_positive("learning_rate", "clip_norm", "held_out")
        self.require_rates("held_out", "dropout")

    @property
    def models(self) -> Bi[CharModel]:
        """The static part of the model, or of the models of both directions."""
        make = functools.partial(CharModel, cell_with_init("gru", "torch"), 1, dropout=self.dropout)
        if self.task == "elmo":
            return Bi(make(direction="fwd"), make(direction="bwd"))
        model = make(direction=direction_of(self.task))
        return Bi(model, model)

    @property
    def gap_length(self) -> int:
        """Characters of a gap in this task."""
        return 1 if self.task == "masked" else self.gap
