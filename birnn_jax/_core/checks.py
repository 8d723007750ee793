"""The checks of arguments, made once, where the caller enters. They run at trace time."""

import operator
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from .describe import describe, first_line
from .types import Bi, Cell


def as_array(name: str, value: Any) -> jax.Array:
    """`value` as an array of JAX: NumPy arrays, nested lists and tensors of other frameworks too.

    What would lose its gradient on the way is refused by its own framework.
    """
    if isinstance(value, jax.Array):
        return value
    is_nested = type(value) in (list, tuple)
    is_number = isinstance(value, bool | int | float | complex)
    if not (
        is_nested or is_number or hasattr(value, "__array__") or hasattr(value, "__jax_array__")
    ):
        raise TypeError(f"{name} must be an array, got {describe(value)}.")
    try:
        if _is_beyond_numpy(value):
            return jnp.asarray(np.array(jnp.from_dlpack(value)))  # in memory of its own
        return jnp.asarray(np.asarray(value) if is_nested and not _holds_arrays(value) else value)
    except (TypeError, ValueError, RuntimeError, OverflowError, BufferError) as error:
        if is_nested and isinstance(error, ValueError):
            raise ValueError(
                f"{name} must be one array of numbers, got {describe(value)} that does not make "
                "one. Rows of different lengths are padded to the longest first; lengths say how "
                "many steps of each are valid."
            ) from error
        raise TypeError(
            f"{name} must be an array of numbers, got {describe(value)}, which JAX cannot read: "
            f"{first_line(error)}."
        ) from error


def _is_beyond_numpy(value: Any) -> bool:
    """Whether it is a tensor of another framework in a dtype that JAX has, and NumPy has not."""
    name = str(getattr(value, "dtype", "")).rpartition(".")[2]
    has_numpy = isinstance(value, np.ndarray | np.generic)
    return name.startswith(("bfloat", "float8")) and not has_numpy and hasattr(value, "__dlpack__")


def as_xs(xs: Any) -> jax.Array:
    """`xs` as an array `[B, T, D]`."""
    xs = as_array("xs", xs)
    if xs.ndim != 3:
        raise ValueError(
            f"xs must be [B, T, D], got shape {xs.shape}. For one sequence use xs[None], for more "
            "batch dimensions jax.vmap; token ids are embedded first, by models made with "
            "num_tokens."
        )
    return xs


def as_axes(name: str, value: Any, axes: str) -> jax.Array:
    """`value` as an array with `axes`, such as "B, T, K", of which the first is that of rows."""
    array = as_array(name, value)
    if array.ndim != len(axes.split(", ")):
        raise ValueError(
            f"{name} must be [{axes}], got shape {array.shape}. For one sequence use {name}[None], "
            "for more batch dimensions jax.vmap."
        )
    return array


def as_labels(labels: Any) -> jax.Array:
    """`labels` as an array of integers."""
    labels = as_array("labels", labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be integers, the numbers of classes, got {labels.dtype}.")
    return labels


def as_lengths(
    lengths: ArrayLike, *, batch_size: int, name: str = "lengths", of: str = "xs"
) -> jax.Array:
    """`lengths` as an array of `[B]` int32; what is beyond int32 counts as its limit."""
    if not isinstance(lengths, jax.Array) and not _holds_arrays(lengths):
        lengths = _narrow_on_host(lengths)
    lengths = as_array(name, lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(
            f"{name} must be integers, the number of valid steps of each row, got {lengths.dtype}."
            " A mask is given as birnn_jax.Mask(mask)."
        )
    if lengths.shape != (batch_size,):
        advice = f" Use {name}[:, 0]." if lengths.shape == (batch_size, 1) else ""
        raise ValueError(
            f"{name} must be [B] with B = {batch_size} as in {of}, got shape {lengths.shape}."
            f"{advice}"
        )
    # In a narrow type the number of a step could overflow; a wide one must not wrap around.
    own, limits = jnp.iinfo(lengths.dtype), jnp.iinfo(jnp.int32)
    low, high = max(own.min, limits.min), min(own.max, limits.max)
    if (low, high) != (own.min, own.max):
        lengths = jnp.clip(lengths, *(jnp.array(limit, lengths.dtype) for limit in (low, high)))
    return lengths.astype(jnp.int32)


def _holds_arrays(value: Any) -> bool:
    return any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(value))


def _narrow_on_host(lengths: Any) -> Any:
    """Before JAX reads integers of 64 bits as such of 32."""
    try:
        values = np.asarray(lengths)
    except (TypeError, ValueError, RuntimeError):
        return lengths  # which `as_array` refuses in words
    limits = np.iinfo(np.int32)
    if values.dtype == object and all(type(value) is int for value in values.flat):
        return np.clip(values, limits.min, limits.max).astype(np.int32)
    if not np.issubdtype(values.dtype, np.integer):
        return lengths
    own = np.iinfo(values.dtype)
    return np.clip(values, max(limits.min, own.min), min(limits.max, own.max))


def as_size(name: str, size: Any, *, least: int = 1) -> int:
    """`size` as an int: any integer, also of NumPy or a JAX array without axes."""
    if isinstance(size, Tracer):
        raise TypeError(
            f"{name} must be known when the function is traced, got a traced value: give a Python "
            f"integer, under jax.jit as a static argument."
        )
    try:
        number = operator.index(size)
    except TypeError:
        number = None
    if number is None or isinstance(size, bool | np.bool):
        raise TypeError(f"{name} must be an integer, got {describe(size)}.")
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}.")
    return number


def check_key(key: Any) -> None:
    """`key` is one random key, of either style."""
    if isinstance(key, jax.Array | np.ndarray):
        is_new = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        if key.ndim == (0 if is_new else 1) and (is_new or key.dtype == np.uint32):
            return
    refuse_key(key)


def refuse_key(key: Any) -> NoReturn:
    """Says what a key is."""
    seed = operator.index(key) if isinstance(key, int | np.integer) else 0
    raise TypeError(
        f"key must be a random key, got {describe(key)}. Use jax.random.key({seed}), and one of "
        "jax.random.split(key) for each use."
    )


def check_cell(cell: Any) -> None:
    """`cell` is a `Cell`."""
    if isinstance(cell, Cell):
        return
    raise TypeError(
        f"cell must be a Cell, such as birnn_jax.LSTM, got {describe(cell)}.{_advise(cell)}"
    )


def as_cells(cell: Any) -> Bi[Cell]:
    """The cells of both directions, from one cell or a `Bi` of cells."""
    cells = cell if isinstance(cell, Bi) else Bi(cell, cell)
    for part in cells:
        check_cell(part)
    return cells


def _advise(cell: Any) -> str:
    if type(cell).__name__ == "Layer":
        return " Layers are run by birnn_jax.stack, or give its field cell."
    if type(cell) in (list, tuple) and cell and all(isinstance(part, Cell) for part in cell):
        return " Cells of two directions are given as birnn_jax.Bi(fwd, bwd), layers to a stack."
    if hasattr(cell, "initialize_carry"):
        return (
            " The layers of birnn_jax.linen and birnn_jax.nnx take cells of Flax; "
            "birnn_jax.linen.as_cell makes a Cell of one of Linen."
        )
    if isinstance(cell, jax.Array):
        return " The cell comes first, then what it is given."
    return ""


def check_made_by(maker: str, kind: type, params: Any) -> None:
    """`params` are of the type that the function called `maker` makes."""
    if not isinstance(params, kind):
        raise ValueError(
            f"params must be {kind.__name__}, as {maker} makes them, got {describe(params)}."
        )


def check_choice(name: str, value: Any, choices: Any) -> None:
    """`value` is one of `choices`, which are strings."""
    if not isinstance(value, str) or value not in choices:
        expected = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {expected}, got {value!r}.")


def check_flag(name: str, value: Any) -> None:
    """`value` is True or False."""
    if not isinstance(value, bool | np.bool) and not (isinstance(value, int) and value in (0, 1)):
        raise TypeError(f"{name} must be True or False, got {describe(value)}.")


def check_number(name: str, value: Any) -> None:
    """`value` is a real number: of Python, or an array without axes, which may be traced."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        kinds = (jnp.floating, jnp.integer)
        is_number = value.ndim == 0 and any(jnp.issubdtype(value.dtype, kind) for kind in kinds)
    if not is_number:
        raise TypeError(f"{name} must be a number, got {describe(value)}.")


def check_rate(name: str, rate: Any, *, is_static: bool = False) -> None:
    """`rate` is a probability below one; of a traced one that is not known."""
    check_number(name, rate)
    if is_static and isinstance(rate, Tracer):
        raise TypeError(
            f"{name} is part of a cell, which must be known when a function is traced, got a traced"
            " value. birnn_jax.dropout and the like take one."
        )
    if not isinstance(rate, Tracer) and not 0 <= rate < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, got {rate}.")


def is_off(rate: Any) -> bool:
    """Whether dropout does nothing, its rate being known to be 0."""
    return not isinstance(rate, Tracer) and bool(rate == 0)
