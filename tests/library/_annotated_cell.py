"""A user's cell in a module whose annotations are strings."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from birnn_jax import Cell


class AnnotatedParams(NamedTuple):
    w: jax.Array
    b: jax.Array


def init(key: jax.Array, input_size: int, hidden_size: int) -> AnnotatedParams:
    return AnnotatedParams(
        jax.random.normal(key, [input_size, hidden_size]), jnp.zeros(hidden_size)
    )


def init_carry(params: AnnotatedParams) -> jax.Array:
    return jnp.zeros_like(params.b)


def step(params: AnnotatedParams, carry: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    h = jnp.tanh(0.5 * carry + x @ params.w + params.b)
    return h, h


ANNOTATED = Cell(init, init_carry, step)
