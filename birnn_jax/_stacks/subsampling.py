"""Fewer steps of time: groups of steps become one, and the lengths follow."""

from typing import Literal

import jax
import jax.numpy as jnp

from .._core.checks import as_lengths, as_xs
from .._core.masks import Lengths, Mask, Segments, clear_padding, valid_steps

SubsampleMode = Literal["concat", "first"]
SUBSAMPLE_MODES = ("concat", "first")


def subsample(
    xs: jax.Array, lengths: Lengths, every: int, mode: SubsampleMode
) -> tuple[jax.Array, Lengths]:
    """Makes one step of each `every` steps of `[B, T, D]`, and the lengths that go with them.

    The valid steps of a `Mask` are moved together first, so that a row still equals the same row
    with the others cut out. Zeros complete the last group of a row.
    """
    xs = as_xs(xs)
    if every == 1:
        return xs, lengths
    shorter = subsampled_lengths(lengths, every)
    xs = clear_padding(xs, lengths)
    if isinstance(lengths, Mask):
        order = jnp.argsort(~valid_steps(xs, lengths), axis=1, stable=True)
        xs = jnp.take_along_axis(xs, order[..., None], axis=1)
    batch_size, num_steps, size = xs.shape
    num_groups = -(-num_steps // every)
    padding = [(0, 0), (0, num_groups * every - num_steps), (0, 0)]
    xs = jnp.pad(xs, padding)
    if mode == "first":
        return xs[:, ::every], shorter
    return xs.reshape(batch_size, num_groups, every * size), shorter


def subsampled_size(size: int, every: int, mode: SubsampleMode) -> int:
    """The features of a step that `subsample` makes of steps of `size` features."""
    return size * every if mode == "concat" else size


def subsampled_lengths(lengths: Lengths, every: int) -> Lengths:
    """The lengths that `subsample` returns: n steps become ceil(n / every)."""
    if every == 1 or lengths is None:
        return lengths
    if isinstance(lengths, Segments):
        raise ValueError(
            "Segments cannot be subsampled: a group would hold steps of two sequences. Give each "
            "sequence a row of its own."
        )
    steps = _count(lengths) if isinstance(lengths, Mask) else jnp.asarray(lengths)
    steps = as_lengths(steps, batch_size=steps.size)
    groups, rest = jnp.divmod(steps, every)
    return groups + jnp.minimum(rest, 1)  # no sum that a length near the limit overflows


def _count(mask: Mask) -> jax.Array:
    """`[B]` integers, the valid steps of each row."""
    return jnp.asarray(mask.valid).sum(axis=1, dtype=jnp.int32)
