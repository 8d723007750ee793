"""A compiled-to-be prediction in one file, by `jax.export`: StableHLO with free batch and time.

What is written holds the parameters and needs JAX to run, but neither this library nor the code
that made it. JAX promises to read it for six months, on the platforms named when it was written.
It holds no native code: for any number of rows `backend="auto"` is "xla".
`jax.export` writes and reads by the package flatbuffers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
from jax.typing import DTypeLike

from ._files import damage_told

Predict = Callable[[jax.Array, jax.Array], Any]


def serialize(
    predict: Predict,
    *,
    input_size: int,
    dtype: DTypeLike = jnp.float32,
    platforms: Sequence[str] | None = None,
) -> bytes:
    """`predict` as bytes, for any number of rows and of steps.

    Args:
      predict: `(xs, lengths) -> outputs`, a function that `jax.jit` takes, closed over its
        parameters; `xs` is `[B, T, D]` and `lengths` `[B]` int32.
      input_size: features D of each step.
      dtype: of `xs`.
      platforms: to run on, such as "cpu", "cuda" and "tpu"; None is the one of this process.

    Raises:
      ValueError: for a platform that JAX does not know, or if `predict` insists on
        `backend="cpu_kernel"`.

    Example:
      >>> from birnn_jax.interop.stablehlo import deserialize, serialize
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> outputs = lambda xs, lengths: stack(layers, params, xs, lengths)[1]
      >>> written = serialize(outputs, input_size=3)
      >>> predict = deserialize(written)
      >>> predict(jnp.zeros([2, 5, 3]), jnp.array([5, 1])).shape
      (2, 5, 8)
    """
    batch, time = jax.export.symbolic_shape("batch, time")
    exported = jax.export.export(jax.jit(predict), platforms=platforms)(
        jax.ShapeDtypeStruct((batch, time, input_size), dtype),
        jax.ShapeDtypeStruct((batch,), jnp.int32),
    )
    return bytes(exported.serialize())


def deserialize(data: bytes) -> Predict:
    """The function that was written by `serialize`; it is compiled once for each shape.

    Args:
      data: from `serialize`.

    Raises:
      ValueError: for other or damaged data.
    """
    with damage_told("data"):
        exported = jax.export.deserialize(bytearray(data))
    return jax.jit(exported.call)
