"""A weight matrix of whole numbers of 8 bits, and its product with rows of 13 bits.

    values[k, n] = round(w[k, n] / scale[n])         scale[n] = max over k of |w[k, n]| / 127
    q[k]         = round(x[k] / size)                size = max over k of |x[k]| / 4095
    x @ w        = (sum over k of q[k] values[k, n]) * size * scale[n]

Every row x has a size of its own, so that no row depends on another. A row or column without a
number of 1e-30 is zero. Sums of whole numbers are exact in the kernels; here they are those of
float32, with the rounding of float32.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

WEIGHT_LEVELS, ROW_LEVELS = 127, 4095


class QuantizedMatrix(NamedTuple):
    """What stands in the place of a weight matrix `[K, N]` after `serving.quantize`."""

    values: jax.Array  # [K, N] int8, from -127 to 127
    scale: jax.Array  # [N] float32

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the matrix."""
        return self.values.shape

    @property
    def dtype(self) -> Any:
        """That of its numbers once they are scaled."""
        return self.scale.dtype

    @property
    def ndim(self) -> int:
        """2."""
        return self.values.ndim


def is_quantized_matrix(node: Any) -> bool:
    """For `is_leaf`."""
    return isinstance(node, QuantizedMatrix)


def has_quantized(params: Any) -> bool:
    """True if any matrix of `params` is of 8 bits."""
    return any(map(is_quantized_matrix, jax.tree.leaves(params, is_leaf=is_quantized_matrix)))


def quantize_matrix(w: jax.Array) -> QuantizedMatrix:
    """`[K, N]` with the nearest numbers of 8 bits; a column of zeros has a scale of 0."""
    w = jnp.asarray(w, jnp.float32)
    largest = jnp.abs(w).max(axis=0, initial=0)
    values = jnp.round(w * _divide(WEIGHT_LEVELS, largest)[None])
    return QuantizedMatrix(values.astype(jnp.int8), largest / WEIGHT_LEVELS)


def quantized_product(x: jax.Array, w: QuantizedMatrix) -> jax.Array:
    """`x @ w` for rows `x` `[..., K]`, in float32."""
    x = x.astype(w.scale.dtype)
    largest = jnp.abs(x).max(axis=-1, keepdims=True, initial=0)
    q = jnp.round(x * _divide(ROW_LEVELS, largest))
    sums = jnp.matmul(q, w.values.astype(q.dtype), precision=jax.lax.Precision.HIGHEST)
    return sums * (largest / ROW_LEVELS) * w.scale.reshape((1,) * (x.ndim - 1) + (-1,))


def _divide(levels: int, largest: jax.Array) -> jax.Array:
    is_zero = largest < 1e-30
    return jnp.where(is_zero, 0, levels / jnp.where(is_zero, 1, largest))
