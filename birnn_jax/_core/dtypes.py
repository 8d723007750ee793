"""Which numbers are float32 at least, when the parameters are of 16 bits.

The dtype of the parameters is that of the inputs, of both sides of every product and of the
outputs. What is summed up is of `sum_dtype`, which is wider: products, gates, every field of a
carry, and the gradients of parameters until the last step of time has been added. Without this an
LSTM in bfloat16, with its 8 bits, would stop counting at 256. In float32 and float64 all of it is
the same dtype, and nothing here does anything.

References:
  Micikevicius et al., Mixed Precision Training, 2018.
"""

from typing import Any

import jax
import jax.numpy as jnp

from .quantized import QuantizedMatrix, quantized_product


def sum_dtype(dtype: Any) -> Any:
    """`dtype`, or float32 in place of a narrower floating one."""
    is_narrow = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32
    return jnp.dtype(jnp.float32) if is_narrow else dtype


def at_least(x: jax.Array, like: jax.Array) -> jax.Array:
    """`x`, in the dtype of `like` if that is floating like its own and has more bits."""
    x = jnp.asarray(x)
    if not all(jnp.issubdtype(array.dtype, jnp.floating) for array in (x, like)):
        return x
    return x.astype(like.dtype) if jnp.finfo(x.dtype).bits < jnp.finfo(like.dtype).bits else x


def widen(tree: Any) -> Any:
    """Every leaf in its `sum_dtype`."""
    return jax.tree.map(lambda leaf: leaf.astype(sum_dtype(leaf.dtype)), tree)


def cast_like(tree: Any, like: Any) -> Any:
    """Every leaf in the dtype of its counterpart.

    `cast_like(widen(params), params)` is `params` exactly. With the first step outside of a loop
    and the second one inside, the loop adds up the gradient in the wide dtype.
    """
    return jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), tree, like)


def cast_floating(tree: Any, dtype: Any) -> Any:
    """Every floating leaf in `dtype`; None leaves all as they are."""
    if dtype is None:
        return tree

    def cast(leaf: jax.Array) -> jax.Array:
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(cast, tree)


def product(x: jax.Array, w: jax.Array | QuantizedMatrix) -> jax.Array:
    """`x @ w` with `x` in the dtype of `w`, added up and returned in `sum_dtype`."""
    if isinstance(w, QuantizedMatrix):
        return quantized_product(x, w)
    return jnp.matmul(x.astype(w.dtype), w, preferred_element_type=sum_dtype(w.dtype))


def compute_dtype(params: Any) -> Any:
    """The one floating dtype of `params`, after promotion; None if they have none."""
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(params)]
    floating = [dtype for dtype in dtypes if jnp.issubdtype(dtype, jnp.floating)]
    return jnp.result_type(*floating) if floating else None


def as_compute_dtype(xs: jax.Array, params: Any) -> jax.Array:
    """`xs` in the dtype of `params`; what is not floating stays, a cell may look it up."""
    dtype = compute_dtype(params)
    return xs if dtype is None or not jnp.issubdtype(xs.dtype, jnp.floating) else xs.astype(dtype)


def as_output(y: jax.Array, params: Any) -> jax.Array:
    """`y` in the dtype of `params`."""
    dtype = compute_dtype(params)
    return y if dtype is None else y.astype(dtype)
