"""A compiled-to-be prediction in one file, by `jax.export`: StableHLO with free batch and time.

What is written holds the parameters and needs JAX to run, but neither this library nor the code
that made it. JAX promises to read it for six months, on the platforms named when it was written.
It holds no native code: for any number of rows `backend="auto"` is "xla".
`jax.export` writes and reads by the package flatbuffers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.export
import jax.numpy as jnp
from jax.typing import DTypeLike

from ._files import damage_told

Predict = Callable[..., Any]


class Input(NamedTuple):
    """An array that a function is given: sizes that are words may differ from call to call.

    Args:
      shape: sizes with commas between them, such as "batch, time, 3"; "" is a scalar.
      dtype: of the array.
    """

    shape: str
    dtype: DTypeLike = jnp.float32


def serialize(
    predict: Predict,
    *inputs: Any,
    input_size: int | None = None,
    dtype: DTypeLike = jnp.float32,
    constraints: Sequence[str] = (),
    platforms: Sequence[str] | None = None,
) -> bytes:
    """A function as bytes, for any number of rows and of steps.

    NamedTuples among its inputs and outputs, such as carries, are written as dicts of their
    fields, since whoever reads the bytes need not have the types.

    Args:
      predict: a function that `jax.jit` takes, closed over its parameters.
      *inputs: of `predict`: pytrees with an `Input` in place of each array. Without any, predict is
        `(xs, lengths) -> outputs`, where `xs` is `[B, T, D]` and `lengths` `[B]` int32.
      input_size: features D of each step of `xs`.
      dtype: of `xs`.
      constraints: what `predict` may take for granted of sizes, such as "time >= 200".
      platforms: to run on, such as "cpu", "cuda" and "tpu"; None is the one of this process.

    Raises:
      ValueError: for a platform that JAX does not know, if `predict` insists on
        `backend="cpu_kernel"`, if neither inputs nor an input size are given, or both.
      TypeError: if inputs hold anything but `Input`.

    Example:
      >>> from birnn_jax.interop.stablehlo import Input, deserialize, serialize
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> outputs = lambda xs, lengths: stack(layers, params, xs, lengths)[1]
      >>> written = serialize(outputs, input_size=3)
      >>> predict = deserialize(written)
      >>> predict(jnp.zeros([2, 5, 3]), jnp.array([5, 1])).shape
      (2, 5, 8)
      >>> batch = {"xs": Input("batch, time, 3"), "lengths": Input("batch", jnp.int32)}
      >>> written = serialize(lambda batch: stack(layers, params, **batch), batch)
      >>> again = {"xs": jnp.zeros([2, 5, 3]), "lengths": jnp.array([5, 1])}
      >>> carries, ys = deserialize(written)(again)
      >>> carries[0]["fwd"]["h"].shape
      (2, 4)
    """
    if (input_size is None) != bool(inputs):
        raise ValueError(
            "serialize takes the inputs of predict, or input_size for a predict of xs and lengths; "
            f"got {len(inputs)} inputs and input_size={input_size}."
        )
    if input_size is not None:
        inputs = (Input(f"batch, time, {input_size}", dtype), Input("batch", jnp.int32))
    scope = jax.export.SymbolicScope(constraints)

    def shape_of(leaf: Any) -> jax.ShapeDtypeStruct:
        if not isinstance(leaf, Input):
            raise TypeError(f"inputs must hold an Input for each array, got {leaf!r}.")
        shape = jax.export.symbolic_shape(leaf.shape, scope=scope) if leaf.shape else ()
        return jax.ShapeDtypeStruct(shape, leaf.dtype)

    def plain(*arguments: Any) -> Any:
        return _as_dicts(predict(*_as_written(inputs, arguments)))

    given = _as_dicts(jax.tree.map(shape_of, inputs, is_leaf=_is_input))
    exported = jax.export.export(jax.jit(plain), platforms=platforms)(*given)
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
    call = jax.jit(exported.call)

    def predict(*inputs: Any) -> Any:
        return call(*_as_dicts(inputs))

    return predict


def _is_input(node: Any) -> bool:
    return isinstance(node, Input)


def _as_dicts(tree: Any) -> Any:
    """The tree with a dict in place of each NamedTuple."""
    if isinstance(tree, Mapping):
        return {name: _as_dicts(child) for name, child in tree.items()}
    if fields := getattr(tree, "_fields", None):
        return {name: _as_dicts(child) for name, child in zip(fields, tree, strict=True)}
    if isinstance(tree, list | tuple):
        return type(tree)(map(_as_dicts, tree))
    return tree


def _as_written(template: Any, tree: Any) -> Any:
    """A tree of `_as_dicts` with the NamedTuples of the one it was made of."""
    if _is_input(template):
        return tree
    if isinstance(template, Mapping):
        return {name: _as_written(child, tree[name]) for name, child in template.items()}
    if fields := getattr(template, "_fields", None):
        pairs = zip(fields, template, strict=True)
        return type(template)(**{name: _as_written(child, tree[name]) for name, child in pairs})
    if isinstance(template, list | tuple):
        return type(template)(map(_as_written, template, tree))
    return tree
