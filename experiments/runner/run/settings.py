"""Settings that most trainings have: how long, how fast, and which parameters count in the end."""

import dataclasses
from typing import Any

import optax

from birnn_jax import make_optimizer
from experiments.runner.run.averaging import average_of, with_average

_POSITIVE = ("epochs", "epochs_per_evaluation", "patience", "learning_rate", "clip_norm")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Adam on a schedule, an average of the parameters, and when to stop."""

    epochs: int = 10
    """Passes over the training data, at most."""
    epochs_per_evaluation: int = 1
    """Passes from one evaluation on dev, and one checkpoint, to the next."""
    patience: int = 10
    """Evaluations on dev without a new best before training stops early."""
    learning_rate: float = 3e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine
    to nothing at its end."""
    clip_norm: float = 1.0
    """Longest gradient; a longer one is scaled down."""
    average_decay: float = 0.99
    """Decay of the average of the parameters that is evaluated; 0 is no average."""
    seed: int = 0
    """Seed of all that is drawn in a run. The same seed gives the same run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        self.require_positive(*_POSITIVE)
        self.require_rates("average_decay")

    def require_positive(self, *names: str) -> None:
        """Refuses settings that are not above 0."""
        for name in names:
            value = getattr(self, name)
            require(value > 0, f"{name} must be positive, got {value}")

    def require_rates(self, *names: str) -> None:
        """Refuses settings that are not shares below 1."""
        for name in names:
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} must be at least 0 and below 1, got {value}")

    def make_optimizer(self, num_steps: int) -> optax.GradientTransformation:
        """Clipping, Adam with a warm-up and a cosine, and the average of the parameters."""
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, self.learning_rate, warmup_steps=num_steps // 20 + 1, decay_steps=num_steps + 1
        )
        return with_average(make_optimizer(schedule, clip_norm=self.clip_norm), self.average_decay)

    def training(self, steps_per_epoch: int, num_steps: int) -> dict[str, Any]:
        """What these settings say in a `loop.Training`."""
        return {
            "optimizer": self.make_optimizer(num_steps),
            "steps_per_evaluation": steps_per_epoch * self.epochs_per_evaluation,
            "patience": self.patience,
            "seed": self.seed,
            "evaluated_params": average_of,
        }


def require(holds: bool, sentence: str) -> None:
    """Refuses, with a sentence, what does not hold."""
    if not holds:
        raise ValueError(f"{sentence}.")
