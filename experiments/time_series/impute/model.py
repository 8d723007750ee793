"""Estimates of missing values by `brits` in one or both directions, and their loss."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from birnn_jax import Bi, Total, bidirectional, scan_cell
from experiments.runner.run import loop
from experiments.time_series.impute.brits import BRITS, Estimates

Direction = Literal["both", "fwd", "bwd"]


class ImputeModel(NamedTuple):
    """How windows are read, and what the loss weighs: everything static about the model."""

    direction: Direction
    consistency: float


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
