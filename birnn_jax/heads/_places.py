"""Heads read a row as one sequence: its valid steps come to the front, and what is found goes back.

So a chain runs across a gap of a `Mask` as if the steps in it had been cut out. With `Segments` a
row is several sequences, one behind the other.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_axes
from .._core.masks import Lengths, Mask, Segments, named_valid_steps, segment_starts


class Places(NamedTuple):
    """Where the valid steps of each row stand, and where they come from."""

    valid: jax.Array  # [B, T] bool, where they stand
    mask: jax.Array  # [B, T] bool, True from the first step on
    order: jax.Array | None  # [B, T], the step at each place; None where no step has moved
    starts: jax.Array | None = None  # [B, T] bool, where a segment begins; None for whole rows

    def to_front(self, steps: jax.Array) -> jax.Array:
        """`[B, T]` or `[B, T, K]`, valid steps first and zeros behind them."""
        valid, order = self.valid, self.order
        if steps.ndim == 3:
            valid, order = valid[..., None], None if order is None else order[..., None]
        steps = jnp.where(valid, steps, jnp.zeros([], steps.dtype))
        return steps if order is None else jnp.take_along_axis(steps, order, axis=1)

    def to_origin(self, steps: jax.Array, axis: int) -> jax.Array:
        """What was found for each place, at the steps that stood there; time is `axis`."""
        if self.order is None:
            return steps
        where = jnp.argsort(self.order, axis=1)
        others = [other for other in range(1, steps.ndim) if other != axis]
        return jnp.take_along_axis(steps, jnp.expand_dims(where, others), axis=axis)


def find_places(
    steps: jax.Array, lengths: Lengths, *, name: str, lengths_name: str = "lengths"
) -> Places:
    """The places of the valid steps of `[B, T, ...]`, in messages called by their names."""
    mask = named_valid_steps(steps, lengths, name=name, lengths_name=lengths_name)
    if not isinstance(lengths, Mask | Segments):
        return Places(mask, mask, None)
    order = jnp.argsort(~mask, axis=1, stable=True)
    places = Places(mask, jnp.take_along_axis(mask, order, axis=1), order)
    starts = segment_starts(lengths, steps, reverse=False)
    return places if starts is None else places._replace(starts=places.to_front(starts))


def check_whole_rows(lengths: Lengths, *, name: str = "lengths") -> None:
    """Refuses several sequences in a row."""
    if isinstance(lengths, Segments):
        raise ValueError(
            f"CTC reads every row as one sequence: {name} must be integers or a Mask, got "
            "Segments. Give each sequence a row of its own."
        )


def logits_to_front(logits: jax.Array, lengths: Lengths) -> tuple[jax.Array, Places]:
    """`[B, T, K]` in float32 at least, valid steps first and zeros behind them."""
    logits = as_axes("logits", logits, "B, T, K")
    places = find_places(logits, lengths, name="logits")
    dtype = jnp.promote_types(logits.dtype, jnp.float32)
    return places.to_front(logits).astype(dtype), places
