"""A training that takes milliseconds: the mean of a few numbers, by steps that are known."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from birnn_jax import Total, dropout, make_optimizer
from birnn_jax.training import (
    fit,
)

RATE = 0.3
BATCHES = [np.random.default_rng(seed).normal(size=3 + seed).astype(np.float32) for seed in (1, 2)]
DEV = [np.float32([0.5, -1.0]), np.float32([2.0])]


def loss_fn(params, batch, key):
    """Squared errors of a mean, a part of them dropped in training."""
    error = jnp.square(jnp.asarray(batch) - params["mean"])
    if key is not None:
        error = dropout(error[None, :, None], 0.5, key)[0, :, 0]
    return {"loss": Total(error.sum(), jnp.array(error.size, error.dtype))}


def without_noise(params, batch, key):
    return loss_fn(params, batch, None)


def run(loss=without_noise, **options):
    """A short training; silent unless said otherwise."""
    given = {"epochs": 4, "dev": DEV, "writers": (), "key": jax.random.key(3), **options}
    optimizer = given.pop("optimizer", make_optimizer(RATE, method=optax.sgd))
    start = {"mean": jnp.array(4.0)}
    return fit(loss, optimizer, start, given.pop("train", BATCHES), **given)


def by_hand(batches, every, patience=None):
    """The means after each step, and (step, loss) of each evaluation, in float64."""
    means, evaluations = [4.0], []
    dev = np.concatenate(DEV).astype(float)
    for step, batch in enumerate(batches, start=1):
        gradient = 2 * (means[-1] - batch.astype(float)).mean()
        means.append(means[-1] - RATE * gradient)
        if step % every == 0 or step == len(batches):
            evaluations.append((step, ((dev - means[-1]) ** 2).mean()))
            losses = [loss for _, loss in evaluations]
            if patience and len(losses) - 1 - losses.index(min(losses)) >= patience:
                break
    return means, evaluations
