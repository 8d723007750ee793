"""The parameters with which a run did best, from its folder alone."""

from collections.abc import Callable
from typing import Any

import jax

from birnn_jax import init_train_state
from experiments.runner.run.averaging import average_of
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.loop import best_state
from experiments.runner.run.settings import RunSettings


def best_params(
    folder: RunFolder, settings: RunSettings, init_params: Callable[[jax.Array], Any]
) -> Any:
    """The average of the parameters that did best on dev.

    Args:
      folder: of the run.
      settings: those of the run.
      init_params: makes the parameters from a key; called for their shapes alone.

    Raises:
      ValueError: if the run has not come to its first evaluation, or is of another model.
    """
    optimizer = settings.make_optimizer(num_steps=1)
    like = jax.eval_shape(
        lambda key: init_train_state(init_params(key), optimizer), jax.random.key(0)
    )
    return average_of(best_state(folder, like))
