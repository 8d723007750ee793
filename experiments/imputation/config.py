"""The settings of a model that fills in missing values, and what follows from them."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from birnn_jax import Bi, Total, bidirectional, init_bidirectional, scan_cell
from experiments.imputation.batches import HiddenBatches, TrainingBatches
from experiments.imputation.brits import BRITS, Estimates
from experiments.imputation.windows import Windows
from experiments.runner import loop
from experiments.runner.settings import RunSettings

Direction = Literal["both", "fwd", "bwd"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImputeConfig(RunSettings):
    """Everything that decides the outcome of a run."""

    table: pathlib.Path
    """Measurements: comma-separated text, plain or .gz, a line of column names first, then a row a
    step of time, its time in the first column. Values may be missing."""
    dev_from: str = ""
    """Time at which the rows for development begin; after six tenths of all if not given. Rows
    before it are trained on."""
    test_from: str = ""
    """Time at which the rows for the test begin; after eight tenths of all if not given."""
    steps: int = 48
    """Steps of a window."""
    hidden: float = 0.1
    """Share of the observed values that is hidden in every part, once and for all."""

    direction: Direction = "both"
    """Directions in which a window is read."""
    hidden_size: int = 64
    """Hidden units of each direction."""
    consistency: float = 0.1
    """Weight of the difference between the estimates of both directions in the loss."""
    concealed: float = 0.0
    """Share of the values seen that is concealed in training, afresh in each batch."""
    anywhere: bool = True
    """Whether windows may begin anywhere in training, and not only where the part was cut."""
    windows_per_batch: int = 32
    """Windows of a batch."""
    epochs: int = 200
    """Passes over the training data, at most."""
    epochs_per_evaluation: int = 10
    """Passes from one evaluation on dev, and one checkpoint, to the next."""
    patience: int = 40
    """Evaluations on dev without a new best before training stops early."""
    learning_rate: float = 5e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine
    to nothing at its end."""
    clip_norm: float = 5.0
    """Longest gradient; a longer one is scaled down."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        self.require_positive("steps", "hidden", "hidden_size", "windows_per_batch")
        self.require_rates("hidden", "concealed")
        if self.consistency < 0:
            raise ValueError(f"consistency must not be negative, got {self.consistency}.")

    @property
    def model(self) -> "ImputeModel":
        """The static part of the model."""
        return ImputeModel(self.direction, self.consistency)


class ImputeModel(NamedTuple):
    """How windows are read, and what the loss weighs: everything static about the model."""

    direction: Direction
    consistency: float


def init_params(config: ImputeConfig, num_features: int, key: jax.Array) -> Bi[Any]:
    """The parameters before training, of both directions also where one is not used."""
    sizes = {"input_size": 2 * num_features, "hidden_size": config.hidden_size}
    return init_bidirectional(BRITS, key, **sizes)


def estimate(
    model: ImputeModel, params: Bi[Any], values: jax.Array, seen: jax.Array
) -> tuple[Estimates, ...]:
    """Estimates of every value, `[B, T, D]`, by each direction; no value is used for its own.

    What stands where `seen` is False is not read, NaN included.
    """
    xs = jnp.concatenate([values, seen.astype(values.dtype)], axis=-1)
    if model.direction == "both":
        _, ys = bidirectional(BRITS, params, xs, merge="none")
        return ys.fwd, ys.bwd
    reverse = model.direction == "bwd"
    _, ys = scan_cell(BRITS, params.bwd if reverse else params.fwd, xs, reverse=reverse)
    return (Estimates(*ys),)


def combine(estimates: tuple[Estimates, ...]) -> jax.Array:
    """What is filled in: the mean of the directions."""
    return jnp.mean(jnp.stack([one.mixed for one in estimates]), axis=0)


def make_loss(model: ImputeModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests.

    Absolute errors of all estimates of the values that are wanted, and the difference between both
    directions everywhere; "mae" and "mse" are of what is filled in.
    """

    def loss_fn(params: Any, batch: Mapping[str, jax.Array], key: Any) -> dict[str, Total]:
        del key
        values, wanted = batch["values"], batch["wanted"]
        estimates = estimate(model, params, values, batch["seen"])
        count = wanted.sum(dtype=values.dtype)

        def total(errors: jax.Array) -> Total:
            return Total(jnp.where(wanted, errors, 0).sum(), count)

        errors = [jnp.abs(one - values) for each in estimates for one in each]
        loss = total(jnp.stack(errors).sum(axis=0))
        if len(estimates) == 2:
            differences = jnp.abs(estimates[0].mixed - estimates[1].mixed)
            loss = loss._replace(sum=loss.sum + model.consistency * count * differences.mean())
        error = combine(estimates) - values
        return {"loss": loss, "mae": total(jnp.abs(error)), "mse": total(error**2)}

    return loss_fn


def make_training(config: ImputeConfig, parts: Mapping[str, Windows]) -> loop.Training:
    """Says to the runner what to train."""
    train = TrainingBatches(
        parts["train"],
        size=config.windows_per_batch,
        epochs=config.epochs,
        concealed=config.concealed,
        anywhere=config.anywhere,
        seed=config.seed,
    )
    num_features = parts["train"].values.shape[-1]
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=functools.partial(init_params, config, num_features),
        train=train,
        dev=HiddenBatches(parts["dev"]),
        score=lambda means: -means["mae"],
        **config.training(train.per_epoch, len(train)),
    )
