"""Heads read a row as one sequence: its valid steps come to the front, and what is found goes back.

So a chain runs across a gap of a `Mask` as if the steps in it had been cut out.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.masks import Lengths, Mask, Segments, valid_steps


class Places(NamedTuple):
    """Where the valid steps of each row stand, and where they come from."""

    mask: jax.Array  # [B, T] bool, True from the first step on
    order: jax.Array | None  # [B, T], the step at each place; None where no step has moved

    def to_front(self, steps: jax.Array) -> jax.Array:
        """`[B, T]` or `[B, T, K]`, valid steps first."""
        if self.order is None:
            return steps
        order = self.order if steps.ndim == 2 else self.order[..., None]
        return jnp.take_along_axis(steps, order, axis=1)

    def to_origin(self, steps: jax.Array, axis: int) -> jax.Array:
        """What was found for each place, at the steps that stood there; time is `axis`."""
        if self.order is None:
            return steps
        where = jnp.argsort(self.order, axis=1)
        others = [other for other in range(1, steps.ndim) if other != axis]
        return jnp.take_along_axis(steps, jnp.expand_dims(where, others), axis=axis)


def find_places(steps: jax.Array, lengths: Lengths) -> Places:
    """The places of the valid steps of `[B, T, K]`."""
    if isinstance(lengths, Segments):
        raise ValueError(
            "A CRF or CTC reads every row as one sequence: it takes lengths or a Mask, got "
            "Segments. Give each sequence a row of its own."
        )
    mask = valid_steps(steps, lengths)
    if not isinstance(lengths, Mask):
        return Places(mask, None)
    order = jnp.argsort(~mask, axis=1, stable=True)
    return Places(jnp.take_along_axis(mask, order, axis=1), order)
