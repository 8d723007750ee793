"""The state with which a run did best, from its folder alone."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from birnn_jax import TrainState, init_train_state
from birnn_jax.training import average_of
from experiments.runner.run.carried import CarriedState
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.loop import best_state
from experiments.runner.run.settings import RunSettings


def best_params(
    folder: RunFolder, settings: RunSettings, init_params: Callable[[jax.Array], Any]
) -> Any:
    """The average of the parameters that did best on dev.

    Args, Raises: as `best_of`; the optimiser is that of the settings.
    """
    return average_of(best_of(folder, settings.make_optimizer(num_steps=1), init_params))


def best_of(
    folder: RunFolder,
    optimizer: optax.GradientTransformation,
    init_params: Callable[[jax.Array], Any],
    *,
    carry: Any = None,
) -> Any:
    """The state that did best on dev.

    Args:
      folder: of the run.
      optimizer: that of the run, for the structure of its state.
      init_params: makes the parameters from a key; called for their shapes alone.
      carry: what a step handed on to the next, if anything.

    Raises:
      ValueError: if the run has not come to its first evaluation, or is of another model.
    """

    def make(key: jax.Array) -> TrainState | CarriedState:
        state = init_train_state(init_params(key), optimizer)
        return state if carry is None else CarriedState(*state, carry)

    return best_state(folder, jax.eval_shape(make, jax.random.key(0)))
