"""A linear map with a bias, as the parts of a model around the recurrences have it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from .dtypes import as_output, product, widen


class AffineParams(NamedTuple):
    """Parameters of a linear map, here of features I to O."""

    w: jax.Array  # [I, O]
    b: jax.Array  # [O]


def init_affine(
    key: jax.Array, input_size: int, output_size: int, *, bias: float = 0.0
) -> AffineParams:
    """Glorot-uniform weights, and one value for all biases."""
    w = jax.nn.initializers.glorot_uniform()(key, (input_size, output_size))
    return AffineParams(w=w, b=jnp.full(output_size, bias, w.dtype))


def affine(params: AffineParams, xs: jax.Array) -> jax.Array:
    """`[..., I]` to `[..., O]`, in the dtype of `params`."""
    sums = product(xs, params.w)
    return as_output(sums + widen(params.b).reshape((1,) * (sums.ndim - 1) + (-1,)), params)
