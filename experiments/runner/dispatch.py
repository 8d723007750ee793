"""Several training steps in one call of the device, for models whose steps are short."""

from collections.abc import Callable, Iterator
from typing import Any

import jax

StepFn = Callable[[Any, Any, jax.Array], tuple[Any, dict[str, Any]]]  # (state, batch, key)


def repeated(train_step: StepFn, num_steps: int) -> StepFn:
    """`train_step` over `num_steps` batches, stacked to leaves `[num_steps, ...]`.

    The metrics come back stacked in the same way. One step is `train_step` itself, of one batch.
    """
    if num_steps == 1:
        return train_step

    def several(state: Any, batches: Any, key: jax.Array) -> tuple[Any, Any]:
        return jax.lax.scan(lambda state, batch: train_step(state, batch, key), state, batches)

    return jax.jit(several, donate_argnums=0)


def steps_of(metrics: Any, num_steps: int) -> Iterator[Any]:
    """The metrics of each step out of what `repeated` gave, on the host."""
    if num_steps == 1:
        yield metrics
        return
    for number in range(num_steps):
        yield jax.tree.map(lambda leaf, number=number: leaf[number], metrics)
