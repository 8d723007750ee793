"""The metrics of several training steps in one call of the device."""

from collections.abc import Iterator
from typing import Any

import jax


def steps_of(metrics: Any, num_steps: int) -> Iterator[Any]:
    """The metrics of each step out of what `birnn_jax.training.repeat_step` gave, on the host."""
    if num_steps == 1:
        yield metrics
        return
    for number in range(num_steps):
        yield jax.tree.map(lambda leaf, number=number: leaf[number], metrics)
