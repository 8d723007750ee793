"""Settings that every training by Adam over passes has, and what follows from them."""

import dataclasses

import optax

from birnn_jax import make_optimizer
from experiments.runner.averaging import with_average

_POSITIVE = ("epochs", "batch_size", "learning_rate", "clip_norm", "patience")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a network is trained; the settings of an experiment add what it is and what it reads."""

    epochs: int = 20
    """Passes over the training data, at most."""
    batch_size: int = 32
    """Examples of a batch."""
    learning_rate: float = 4e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine
    to nothing at its end."""
    clip_norm: float = 1.0
    """Longest gradient; a longer one is scaled down."""
    average_decay: float = 0.99
    """Decay of the average of the parameters that is evaluated; 0 is no average."""
    patience: int = 10
    """Evaluations on dev, one a pass, without a new best before training stops early."""
    seed: int = 0
    """Seed of parameters, of the order and choice of data and of noise; the same gives the same
    run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        self.require_positive(*_POSITIVE)
        self.require_shares("average_decay")

    def require_positive(self, *names: str) -> None:
        """Refuses settings that are not above zero."""
        for name in names:
            require(getattr(self, name) > 0, f"{name} must be positive")

    def require_shares(self, *names: str) -> None:
        """Refuses settings that are not at least 0 and below 1."""
        for name in names:
            require(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1")

    def make_optimizer(self, num_steps: int) -> optax.GradientTransformation:
        """Clipping, Adam with a warm-up and a cosine, and the average of the parameters."""
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, self.learning_rate, warmup_steps=num_steps // 20 + 1, decay_steps=num_steps + 1
        )
        return with_average(make_optimizer(schedule, clip_norm=self.clip_norm), self.average_decay)


def require(holds: bool, sentence: str) -> None:
    """Refuses, with a sentence, what does not hold."""
    if not holds:
        raise ValueError(f"{sentence}.")
