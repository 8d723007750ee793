"""How far a gradient reaches: exact norms of the Jacobian of the last state, step by step.

    d state[T] / d state[t] = J[T] J[T-1] ... J[t+1]     J[s] = d state[s] / d state[s-1]

Each J is the exact Jacobian of one step of the cell. The product is kept at a size near one and its
scale as a logarithm, so that norms far below the smallest float are still known.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from birnn_jax import Cell

_SMALLEST = 1e-30  # keeps the scale of a product that is exactly zero finite


class Reach(NamedTuple):
    """Base-10 logarithms of spectral norms, at the distances T - t = 0 .. T - 1."""

    hidden: np.ndarray  # [T], of d h[T] / d h[t]
    state: np.ndarray  # [T], of the whole state, which in an LSTM is c and h


def reach(cell: Cell, params: Any, xs: jax.Array) -> Reach:
    """The geometric mean of the norms over the sequences of a batch.

    Args:
      cell: whose carry is a NamedTuple of `[H]` with a field h.
      params: of the cell.
      xs: `[B, T, D]`, all steps valid.

    Example:
      >>> params = LSTM.init(jax.random.key(0), 3, 4)
      >>> reached = reach(LSTM, params, jax.random.normal(jax.random.key(1), [2, 5, 3]))
      >>> reached.hidden.shape, bool(abs(reached.hidden[0]) < 1e-6)
      ((5,), True)
    """
    log_norms = jax.jit(jax.vmap(lambda xs: _log_norms(cell, params, xs)))
    hidden, state = (np.asarray(norms).mean(axis=0) for norms in log_norms(xs))
    return Reach(hidden=hidden, state=state)


def _log_norms(cell: Cell, params: Any, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
    initial = cell.initial_carry(params)
    flat, unravel = ravel_pytree(initial)
    size = len(initial.h)
    start = size * initial._fields.index("h")

    def step(flat: jax.Array, x: jax.Array) -> jax.Array:
        return ravel_pytree(cell.step(params, unravel(flat), x)[0])[0]

    def go_on(flat: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return step(flat, x), jax.jacrev(step)(flat, x)

    def go_back(product: tuple, jacobian: jax.Array) -> tuple[tuple, tuple]:
        matrix, log_scale = product
        block = matrix[start : start + size, start : start + size]
        norms = tuple(_log_norm(one) + log_scale for one in (block, matrix))
        longer = matrix @ jacobian
        scale = jnp.maximum(jnp.abs(longer).max(), _SMALLEST)
        return (longer / scale, log_scale + jnp.log10(scale)), norms

    _, jacobians = jax.lax.scan(go_on, flat, xs)
    one = jnp.eye(len(flat)), jnp.zeros([])
    _, (hidden, state) = jax.lax.scan(go_back, one, jacobians, reverse=True)
    return hidden[::-1], state[::-1]


def _log_norm(matrix: jax.Array) -> jax.Array:
    return jnp.log10(jnp.maximum(jnp.linalg.norm(matrix, ord=2), _SMALLEST))
