"""Settings: what decides the outcome of a run, and what a run folder holds of it."""

import dataclasses
import functools
import pathlib
import typing
from collections.abc import Mapping
from typing import Any, Self

import optax

from birnn_jax import make_optimizer
from birnn_jax.training import average_of, with_average
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options


class Settings(Options):
    """Settings of a run. Those that are paths are data files; all others are plain values."""

    seed: int = 0
    """Seed of all random numbers of a run. The same seed gives the same run."""

    @property
    def files(self) -> Mapping[str, pathlib.Path]:
        """The data files that are read, by the names of their settings."""
        given = {name: getattr(self, name) for name in _paths(type(self))}
        return {name: path for name, path in given.items() if path is not None}

    @property
    def values(self) -> Mapping[str, Any]:
        """All other settings, by their names."""
        names = (field.name for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name in names if name not in _paths(type(self))}

    @classmethod
    def of(cls, folder: RunFolder) -> Self:
        """The settings of a run, from its folder."""
        stored = folder.settings | {
            name: pathlib.Path(file["path"]) for name, file in folder.config["data"].items()
        }
        names = {field.name for field in dataclasses.fields(cls)} & stored.keys()
        given = {name: _as_given(stored[name]) for name in names}
        # The file of training again stands for parts that were not given.
        seen: set[pathlib.Path] = set()
        for field in dataclasses.fields(cls):
            path = given.get(field.name)
            if path in seen and field.default is None:
                del given[field.name]
            elif isinstance(path, pathlib.Path):
                seen.add(path)
        return cls(**given)

    def taking_up(self, run: RunFolder) -> Self:
        """The same settings; those that were chosen by the data of a run, as they were chosen."""
        return self

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


class RunSettings(Settings):
    """Adam on a schedule, an average of the parameters, and when to stop."""

    epochs: int = 10
    """Largest number of epochs."""
    epochs_per_evaluation: int = 1
    """Epochs from one evaluation on dev, and one checkpoint, to the next."""
    patience: int = 10
    """Evaluations on dev without a new best before training stops early."""
    learning_rate: float = 3e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine to
    zero."""
    clip_norm: float = 1.0
    """Largest norm of the gradient; a larger gradient is scaled down."""
    average_decay: float = 0.99
    """Decay of the average of the parameters that is evaluated; 0 switches the average off."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        self.require_positive("epochs", "epochs_per_evaluation", "patience")
        self.require_positive("learning_rate", "clip_norm")
        self.require_rates("average_decay")

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


@functools.cache
def _paths(settings: type[Settings]) -> tuple[str, ...]:
    """The names of the settings that are paths."""
    hints = typing.get_type_hints(settings)
    names = (field.name for field in dataclasses.fields(settings))
    return tuple(n for n in names if pathlib.Path in (hints[n], *typing.get_args(hints[n])))


def _as_given(value: Any) -> Any:
    """A setting as the command line gives it: JSON knows no tuples."""
    return tuple(value) if isinstance(value, list) else value
