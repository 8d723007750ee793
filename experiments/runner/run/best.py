"""The state with which a run did best, from its folder alone."""

import functools
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import jax
import optax

from birnn_jax import TrainState, init_train_state
from birnn_jax.training import average_of
from experiments.runner.export.weights import exported_params
from experiments.runner.run.carried import CarriedState
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.loop import best_state
from experiments.runner.run.settings import RunSettings

S = TypeVar("S", bound=RunSettings)


class Trained(Protocol):
    """Settings that say how they train."""

    def make_optimizer(self, num_steps: int) -> optax.GradientTransformation:
        """The optimiser of a run of so many steps."""
        ...


def load_best(
    folder: RunFolder, settings: type[S], init_params: Callable[..., Any], *data: Any
) -> tuple[S, Any]:
    """The settings of a run and its best parameters.

    Args, Raises: as `best_of`; `init_params` is called with the settings, `data` and a key.
    """
    config = settings.of(folder)
    return config, best_params(folder, config, functools.partial(init_params, config, *data))


def best_params(
    folder: RunFolder,
    settings: Trained,
    init_params: Callable[[jax.Array], Any],
    *,
    carry: Any = None,
) -> Any:
    """The average of the parameters that did best on dev, or the weights of an exported model.

    Args, Raises: as `best_of`; the optimiser is that of the settings.
    """
    params = exported_params(folder, init_params)
    if params is not None:
        return params
    optimizer = settings.make_optimizer(num_steps=1)
    return average_of(best_of(folder, optimizer, init_params, carry=carry))


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

    def make() -> TrainState | CarriedState:
        state = init_train_state(init_params(jax.random.key(0)), optimizer)
        return state if carry is None else CarriedState(*state, carry)

    return best_state(folder, jax.eval_shape(make))
