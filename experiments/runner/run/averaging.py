"""A running average of the parameters, which evaluates better than the parameters themselves."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from birnn_jax import TrainState


class AverageState(NamedTuple):
    """The average, and how many steps are in it."""

    num_averaged: jax.Array  # [] int32
    average: Any


def with_average(
    optimizer: optax.GradientTransformation, decay: float
) -> optax.GradientTransformation:
    """`optimizer`, with the average of the parameters in its state, so in every checkpoint too.

    average <- d * average + (1 - d) * params, with d = min(decay, (1 + n) / (10 + n)) at step n,
    which forgets the first parameters soon. A decay of 0 gives the parameters themselves.
    """
    return optax.chain(optimizer, _average(decay))


def average_of(state: TrainState) -> Any:
    """The average that `with_average` keeps."""
    return optax.tree.get(state.opt_state, "average")


def _average(decay: float) -> optax.GradientTransformation:
    def init(params: Any) -> AverageState:
        return AverageState(jnp.zeros([], jnp.int32), jax.tree.map(jnp.array, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AverageState]:
        n = state.num_averaged
        d = jnp.minimum(decay, (1 + n) / (10 + n))
        new_params = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda a, p: d * a + (1 - d) * p, state.average, new_params)
        return updates, AverageState(n + 1, average)

    return optax.GradientTransformation(init, update)
