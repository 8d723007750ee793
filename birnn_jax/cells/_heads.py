"""Recurrent weights in blocks: with `heads` K, a unit sees the H/K units of its own head only.

The blocks stand side by side, `[H/K, G*H]`: a column has the weights of one unit and gate, from the
units of its head. Its sizes say how many heads there are; with one it is the matrix of any cell.
"""

import jax
import jax.numpy as jnp

from .._core.checks import as_size
from .._core.dtypes import product, sum_dtype
from ._init import Initializer, init_weights


def init_recurrent_weights(
    key: jax.Array, num_gates: int, hidden_size: int, initializer: Initializer, heads: int
) -> jax.Array:
    """`[H/K, num_gates * H]`, every block of every gate drawn by itself."""
    as_size("heads", heads)
    if hidden_size % heads:
        raise ValueError(
            f"heads must divide hidden_size, got heads={heads} and hidden_size={hidden_size}."
        )
    size = hidden_size // heads
    return init_weights(key, size, num_gates * heads, hidden_size, initializer, columns=size)


def recurrent_product(h: jax.Array, w_h: jax.Array) -> jax.Array:
    """h times the block-diagonal matrix of every gate, `[..., G*H]`, in the `sum_dtype`."""
    return multiply_heads(h, split_heads(w_h, h.shape[-1]))


def split_heads(w_h: jax.Array, hidden_size: int) -> jax.Array:
    """`[H/K, G*H]` as a matrix for each head, `[K, H/K, G*H/K]`; with one head what is given."""
    size, columns = w_h.shape
    if size == hidden_size:
        return w_h
    blocks = w_h.reshape(size, columns // hidden_size, hidden_size // size, size)
    return blocks.transpose(2, 0, 1, 3).reshape(hidden_size // size, size, -1)


def join_heads(w_h: jax.Array, hidden_size: int) -> jax.Array:
    """`[H/K, G*H]` as the matrix of any cell, `[H, G*H]`, with zeros around the blocks."""
    size, columns = w_h.shape
    heads = hidden_size // size
    blocks = w_h.reshape(size, columns // hidden_size, heads, size)
    is_own = jnp.eye(heads, dtype=bool)[:, None, None, :, None]
    return jnp.where(is_own, blocks[None], 0).reshape(hidden_size, columns)


def take_blocks(w_h: jax.Array, size: int) -> jax.Array:
    """The blocks of `size` units of a matrix `[H, G*H]`: the inverse of `join_heads`."""
    hidden_size, columns = w_h.shape
    heads = hidden_size // size
    parts = w_h.reshape(heads, size, columns // hidden_size, heads, size)
    return jnp.einsum("kpgkq->pgkq", parts).reshape(size, columns)


def multiply_heads(h: jax.Array, w: jax.Array) -> jax.Array:
    """The product with what `split_heads` returns, its columns in the order of the gates."""
    if w.ndim == 2:
        return product(h, w)
    heads, size, columns = w.shape
    parts = h.astype(w.dtype).reshape(*h.shape[:-1], heads, size)
    sums = jnp.einsum("...kp,kpc->...kc", parts, w, preferred_element_type=sum_dtype(w.dtype))
    gates = sums.reshape(*h.shape[:-1], heads, columns // size, size)
    return gates.swapaxes(-3, -2).reshape(*h.shape[:-1], heads * columns)
