"""A weight matrix of whole numbers of 8 bits, and its product with rows of 8 bits.

    values[k, n] = round(w[k, n] / scale[n])         scale[n] = max over k of |w[k, n]| / 127
    q[k]         = round(x[k] / size)                size = max over k of |x[k]| / 127
    x @ w        = (sum over k of q[k] values[k, n]) * size * scale[n]

Every row x has a size of its own, so that no row depends on another. A row or column whose numbers
are all below 1e-30 counts as zero. The native kernels add up whole numbers exactly; here the sums
are of float32, and are rounded.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

LEVELS = 127


class QuantizedMatrix(NamedTuple):
    """A weight matrix `[K, N]` rounded to 8 bits, as `serving.quantize` returns it."""

    values: jax.Array  # [K, N] int8, from -127 to 127
    scale: jax.Array  # [N] float32

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the matrix, `[K, N]`."""
        return self.values.shape

    @property
    def dtype(self) -> Any:
        """Of the numbers after scaling: float32."""
        return self.scale.dtype

    @property
    def ndim(self) -> int:
        """Number of axes: 2."""
        return self.values.ndim


def is_quantized_matrix(node: Any) -> bool:
    """Whether `node` is a matrix of 8 bits: the `is_leaf` of `jax.tree` functions."""
    return isinstance(node, QuantizedMatrix)


def has_quantized(params: Any) -> bool:
    """True if any matrix of `params` is of 8 bits."""
    return any(map(is_quantized_matrix, jax.tree.leaves(params, is_leaf=is_quantized_matrix)))


def refuse_quantized(params: Any) -> None:
    """Raises a ValueError for matrices of 8 bits, where weights leave for another framework."""
    if has_quantized(params):
        raise ValueError(
            "Weights of 8 bits cannot be written for other frameworks. Use the parameters that "
            "were given to serving.quantize; birnn_jax.interop.onnx.quantized makes ONNX models "
            "of 8 bits."
        )


def quantize_matrix(w: jax.Array) -> QuantizedMatrix:
    """Rounds `[K, N]` to the nearest numbers of 8 bits; a column of zeros has a scale of 0."""
    w = jnp.asarray(w, jnp.float32)
    largest = jnp.abs(w).max(axis=0, initial=0)
    values = jnp.round(w * _levels_over(largest)[None])
    return QuantizedMatrix(values.astype(jnp.int8), largest / LEVELS)


def quantized_product(x: jax.Array, w: QuantizedMatrix) -> jax.Array:
    """`x @ w` for rows `x` `[..., K]`, in float32."""
    x = x.astype(w.scale.dtype)
    largest = jnp.abs(x).max(axis=-1, keepdims=True, initial=0)
    q = jnp.round(x * _levels_over(largest))
    sums = jnp.matmul(q, w.values.astype(q.dtype), precision=jax.lax.Precision.HIGHEST)
    return sums * (largest / LEVELS) * w.scale.reshape((1,) * (x.ndim - 1) + (-1,))


def _levels_over(largest: jax.Array) -> jax.Array:
    is_zero = largest < 1e-30
    return jnp.where(is_zero, 0, LEVELS / jnp.where(is_zero, 1, largest))
