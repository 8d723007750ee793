"""A running average of the parameters, which often evaluates better than the parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core.checks import check_rate
from .state import P, TrainState


class AverageState(NamedTuple):
    """The average, and how many steps are in it."""

    num_averaged: jax.Array  # [] int32
    average: Any


def with_average(
    optimizer: optax.GradientTransformation, decay: float
) -> optax.GradientTransformation:
    """Adds an exponential moving average (EMA) of the parameters to the state of an optimiser.

        average <- d average + (1 - d) params    with d = min(decay, (1 + n) / (10 + n)) at step n

    So the first parameters are soon forgotten. Parameters that do not move are their own average,
    bit for bit. The average is in every checkpoint, as it is part of the state.

    Args:
      optimizer: from `make_optimizer`, or any optax transformation.
      decay: 0 up to, not including, 1; about 1 / (1 - decay) steps are averaged. With 0 the average
        is the parameters themselves.

    Raises:
      ValueError: if `decay` is not in [0, 1).

    Example:
      >>> from birnn_jax.training import average_of, with_average
      >>> optimizer = with_average(make_optimizer(0.5, method=optax.sgd), decay=0.99)
      >>> state = init_train_state({"w": jnp.array(0.0)}, optimizer)
      >>> loss_fn = lambda params, batch, key: {"loss": Total(params["w"], 1)}
      >>> step = make_train_step(loss_fn, optimizer)
      >>> state, _ = step(state, None, jax.random.key(0))
      >>> float(state.params["w"]), round(float(average_of(state)["w"]), 4)  # 0.1 * 0 + 0.9 * -0.5
      (-0.5, -0.45)

    References:
      Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992.
    """
    check_rate("decay", decay)
    return optax.chain(optimizer, _average(decay))


def average_of(state: TrainState[P]) -> P:
    """The average of the parameters that `with_average` keeps.

    Args:
      state: of a training whose optimiser is from `with_average`.

    Raises:
      ValueError: if the state has no average.

    Example:
      >>> from birnn_jax.training import average_of, with_average
      >>> state = init_train_state({"w": jnp.arange(3.0)}, with_average(make_optimizer(0.1), 0.9))
      >>> average_of(state)["w"].tolist()
      [0.0, 1.0, 2.0]
    """
    average = optax.tree.get(state.opt_state, "average")
    if average is None:
        raise ValueError("The state has no average: make its optimiser by with_average.")
    return average


def _average(decay: float) -> optax.GradientTransformation:
    def init(params: Any) -> AverageState:
        return AverageState(jnp.zeros([], jnp.int32), jax.tree.map(jnp.array, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AverageState]:
        n = state.num_averaged
        d = jnp.minimum(decay, (1 + n) / (10 + n))
        new_params = optax.apply_updates(params, updates)
        average = jax.tree.map(
            lambda a, p: jnp.where(a == p, p, d * a + (1 - d) * p), state.average, new_params
        )
        return updates, AverageState(n + 1, average)

    return optax.GradientTransformation(init, update)
