"""Recurrent weights in blocks, which `heads` makes: the native code takes them as a matrix."""

import jax

from ..._core.direction import Direction
from ...cells._heads import join_heads, take_blocks
from ..moving import Moving, state_of


def has_heads(direction: Direction) -> bool:
    """Whether recurrent weights are blocks."""
    w_h = direction.params.w_h
    return w_h.ndim == 2 and w_h.shape[0] != state_of(direction).h.shape[-1]


def without_heads(direction: Direction) -> Direction:
    """The same with zeros around the blocks."""
    if not has_heads(direction):
        return direction
    w_h = join_heads(direction.params.w_h, state_of(direction).h.shape[-1])
    return direction.replace(params=direction.params._replace(w_h=w_h))


def take_gradients(grads: Moving, direction: Direction) -> Moving:
    """Of gradients by what `without_heads` gives those by the direction."""
    if not has_heads(direction) or not jax.tree.leaves(grads.params):
        return grads
    w_h = take_blocks(grads.params.w_h, direction.params.w_h.shape[0])
    return grads._replace(params=grads.params._replace(w_h=w_h))
