"""The leaves of a state as arrays of NumPy that Orbax can write, and back.

JAX arrays of any dtype, random keys, arrays and scalars of NumPy, numbers of Python. A number or a
NumPy array is called by the dtype that JAX would give it, so that a state may be resumed whose
numbers have become arrays in the first training step; its own precision is saved all the same.
"""

import copy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._core.prepared import refuse_prepared

_NUMBERS = (bool, int, float, complex)
_KINDS = (jax.Array, jax.ShapeDtypeStruct, np.ndarray, np.generic, *_NUMBERS)
_NOTHING = np.zeros(1, np.uint8)  # for an array without entries, which Orbax does not write
_NOT_IN_ORBAX = {"uint2", "uint4", "float8_e4m3"}  # written as the bytes they are stored in


def describe(state: Any) -> dict[str, str]:
    """Every leaf by name, such as `{"params.w": "float32[2, 3]"}`.

    Raises:
      TypeError: naming a leaf that cannot be saved.
      ValueError: for parameters that `serving.prepare` made.
    """
    refuse_prepared(state)
    return {
        (name := jax.tree_util.keystr(path).lstrip(".")): _describe_leaf(name, leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }


def encode(leaf: Any) -> np.ndarray:
    """What Orbax writes for a leaf."""
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    if array.size == 0:
        return _NOTHING
    return array.view(np.uint8) if array.dtype.name in _NOT_IN_ORBAX else array


def decode(array: np.ndarray, like: Any) -> Any:
    """The leaf that was encoded, of the kind of `like` and on its devices."""
    plain = _plain(like)
    if plain.size == 0:
        array = plain
    elif plain.dtype.name in _NOT_IN_ORBAX:
        array = array.view(plain.dtype)
    if isinstance(like, _NUMBERS):
        return type(like)(array.item())
    if isinstance(like, np.generic):
        return array[()]
    if isinstance(like, np.ndarray):
        return np.array(array)
    sharding = like.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    if _is_key(like):
        impl = jax.random.key_impl(jnp.zeros([], like.dtype))
        return jax.device_put(jax.random.wrap_key_data(jnp.asarray(array), impl=impl), sharding)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def copied(state: Any) -> Any:
    """The state in memory of its own; arrays of JAX in one dispatch, which is not waited for."""
    leaves, structure = jax.tree.flatten(state)
    arrays = iter(_copy([leaf for leaf in leaves if isinstance(leaf, jax.Array)]))
    copies = [next(arrays) if isinstance(leaf, jax.Array) else copy.copy(leaf) for leaf in leaves]
    return jax.tree.unflatten(structure, copies)


_copy = jax.jit(lambda arrays: jax.tree.map(jnp.copy, arrays))


def _describe_leaf(name: str, leaf: Any) -> str:
    if _is_key(leaf):
        return f"{leaf.dtype}{list(leaf.shape)}"
    if not isinstance(leaf, _KINDS) or not _is_numeric(_plain(leaf).dtype):
        dtype = f" of {leaf.dtype}" if isinstance(leaf, np.ndarray) else ""
        raise TypeError(
            f"{name} is a {type(leaf).__name__}{dtype}, which a checkpoint cannot hold: the leaves "
            "of a state are arrays of numbers, random keys and numbers. Keep it outside the state."
        )
    plain = _plain(leaf)
    return f"{jax.dtypes.canonicalize_dtype(plain.dtype)}{list(plain.shape)}"


def _plain(leaf: Any) -> np.ndarray:
    """An array of the shape and dtype that a leaf has in NumPy, which takes no memory."""
    if isinstance(leaf, _NUMBERS):
        return np.asarray(leaf)
    if _is_key(leaf):
        struct = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        leaf = jax.eval_shape(jax.random.key_data, struct)
    return np.broadcast_to(np.zeros([], leaf.dtype), leaf.shape)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", np.bool), jax.dtypes.prng_key)


def _is_numeric(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, np.number) or jnp.issubdtype(dtype, np.bool)
