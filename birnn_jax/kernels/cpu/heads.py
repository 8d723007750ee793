"""Recurrent weights in blocks, which `heads` makes, for the native code.

A block of whole vectors is multiplied as it is. Others become a matrix with zeros around them.
"""

import jax

from ..._core.direction import Direction
from ...cells._heads import join_heads, take_blocks
from ..moving import Moving, state_of

WIDTH = 16  # units in the vectors of every instruction set


def has_heads(direction: Direction) -> bool:
    """Whether recurrent weights are blocks."""
    w_h = getattr(direction.params, "w_h", None)
    return w_h is not None and w_h.ndim == 2 and w_h.shape[0] != state_of(direction).h.shape[-1]


def with_whole_vectors(direction: Direction) -> Direction:
    """The same, with a matrix in place of blocks that are not of whole vectors."""
    if _fits(direction):
        return direction
    w_h = join_heads(direction.params.w_h, state_of(direction).h.shape[-1])
    return direction.replace(params=direction.params._replace(w_h=w_h))


def take_gradients(grads: Moving, direction: Direction) -> Moving:
    """Of gradients by what `with_whole_vectors` gives those by the direction."""
    if _fits(direction) or not jax.tree.leaves(grads.params):
        return grads
    w_h = take_blocks(grads.params.w_h, direction.params.w_h.shape[0])
    return grads._replace(params=grads.params._replace(w_h=w_h))


def _fits(direction: Direction) -> bool:
    return not has_heads(direction) or direction.params.w_h.shape[0] % WIDTH == 0
