"""Whether parameters and carries are those of a cell, asked of the cell itself, by shapes alone.

What parameters should be is what `cell.init` makes, however it is written: cells share names of
fields and even shapes, and some would compute something with the parameters of another. The answer
for a cell and shapes is kept, so that a call outside of `jax.jit` asks once.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .checks import as_array
from .describe import describe, first_line
from .dtypes import as_compute_dtype
from .quantized import is_quantized_matrix
from .types import Bi, Carry, Cell, Params

_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a function of a cell raises when it is given something else than it expects."""


def as_inputs(cell: Cell, params: Params, xs: jax.Array) -> jax.Array:
    """`xs` in the dtype of `params`, which are those of one direction of `cell` and fit `xs`."""
    for leaf in jax.tree.leaves(params):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
            raise TypeError(
                f"params must be a tree of JAX arrays, got one with {describe(leaf)} in it: convert"
                " it first, weights of other frameworks by birnn_jax.interop."
            )
    xs = as_compute_dtype(xs, params)
    leaves, structure = jax.tree.flatten(params, is_leaf=is_quantized_matrix)
    for leaf in filter(is_quantized_matrix, leaves):
        if (leaf.values.dtype, leaf.scale.dtype) != (jnp.int8, jnp.float32):
            raise TypeError(
                "Weights of 8 bits must be int8 with a float32 scale, as serving.quantize makes "
                f"them, got {leaf.values.dtype} and {leaf.scale.dtype}. They cannot be cast: use "
                "the parameters that were given to serving.quantize."
            )
    arrays = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    _check_direction(cell, structure, arrays, jax.ShapeDtypeStruct(xs.shape[2:], xs.dtype))
    return xs


def check_kind(cell: Cell, params: Params) -> None:
    """`params` are of the type that the init of `cell` makes, whatever their sizes."""
    own = _shapes_of_init(cell, 1, 1)
    if own is not None:
        _check_kind(own, jax.eval_shape(lambda: params))


def check_pair(name: str, value: Any) -> None:
    """`value` is a `Bi`."""
    if not isinstance(value, Bi):
        raise ValueError(
            f"{name} must be a Bi, one for each direction, got {describe(value)}.{advise(value)}"
        )


def as_carry(carry: Any, own: Carry) -> Carry:
    """`carry` as arrays with the structure and the shapes of the cell's own.

    Every array keeps its dtype if that is as wide as the cell's own, of the same kind.
    """
    if jax.tree.structure(carry) != jax.tree.structure(own):
        if type(carry) is not type(own):
            fields = [f"{name}=..." for name in getattr(own, "_fields", ())]
            by_name = f"({', '.join(fields)})" if fields else ""
            raise ValueError(f"initial_carry must be {_name(own)}{by_name}, got {describe(carry)}.")
        raise ValueError(
            f"initial_carry must hold the arrays {_paths(own)}, got {_paths(carry) or 'none'}."
        )
    return jax.tree.map_with_path(_as_carry_leaf, carry, own)


def _as_carry_leaf(path: Any, leaf: Any, own: jax.Array) -> jax.Array:
    name = f"initial_carry{jax.tree_util.keystr(path)}"
    leaf = as_array(name, leaf)
    if leaf.shape != own.shape:
        raise ValueError(f"{name} must have shape {own.shape}, got {leaf.shape}.")
    if _kind(leaf.dtype) > _kind(own.dtype):
        raise TypeError(f"{name} must be {own.dtype}, as the cell makes it, got {leaf.dtype}.")
    keeps_own = _kind(leaf.dtype) == _kind(own.dtype) and leaf.dtype.itemsize >= own.dtype.itemsize
    return leaf if keeps_own else leaf.astype(own.dtype)


def _kind(dtype: Any) -> int:
    """A number that is greater if numbers of `dtype` cannot be written in the dtypes before."""
    kinds = (jnp.bool, jnp.integer, jnp.floating, jnp.complexfloating)
    return next((i for i, kind in enumerate(kinds) if jnp.issubdtype(dtype, kind)), len(kinds))


@functools.lru_cache(maxsize=4096)
def _check_direction(
    cell: Cell, structure: Any, arrays: tuple[jax.ShapeDtypeStruct, ...], x: jax.ShapeDtypeStruct
) -> None:
    params = jax.tree.unflatten(structure, arrays)
    sizes = [size for array in arrays for size in array.shape if isinstance(size, int)]
    # Any size of the state shows what init makes; one that is too large is refused by none.
    hidden_size = max([1, *sizes])
    own = _shapes_of_init(cell, x.shape[0], hidden_size)
    if isinstance(params, Bi):
        expected = "those" if own is None else _name(own)
        raise ValueError(
            f"params must be {expected} of one direction, got a Bi of two: give params.fwd or "
            "params.bwd, or run both directions."
        )
    if own is not None:
        _check_kind(own, params)
        _check_features(params, x, own, _shapes_of_init(cell, x.shape[0] + 1, hidden_size))
        _check_dtypes(params, own)
    if _is_complex(x) and not any(map(_is_complex, arrays)):
        raise TypeError(
            f"xs must be real, as params are, got {x.dtype}: the imaginary part would be lost. "
            "Give it as features, jnp.concatenate([xs.real, xs.imag], axis=-1)."
        )
    problem = _find_problem(cell, params, x)
    if problem is None:
        return
    if own is not None and _find_problem(cell, own, x) is not None:
        raise ValueError(f"{cell!r} does not work as a cell: {problem.text}.") from problem.cause
    reason = f": {problem.text}" if own is None else ""
    raise ValueError(
        f"Arrays of {_name(params)} must fit one another, got {_shapes(params)}{reason}."
    ) from problem.cause


@functools.lru_cache(maxsize=4096)
def _shapes_of_init(cell: Cell, input_size: int, hidden_size: int) -> Params | None:
    """What `cell.init` makes; None if it cannot be traced, or not for such sizes."""
    try:
        return jax.eval_shape(lambda: cell.init(jax.random.key(0), input_size, hidden_size))
    except _ERRORS:
        return None


def _check_kind(own: Params, params: Params) -> None:
    if isinstance(own, Mapping):
        fits = isinstance(params, Mapping) and params.keys() == own.keys()
    else:
        fits = isinstance(params, type(own))
    if not fits:
        raise ValueError(
            f"params must be {_name(own)}, which the cell's init makes, got {_name(params)}."
            f"{advise(params)}"
        )


def _check_features(
    params: Params, x: jax.ShapeDtypeStruct, own: Params, wider: Params | None
) -> None:
    """Sizes that init makes as large as the input are those of `x`."""
    size = x.shape[0]
    trees = [jax.tree.leaves(tree) for tree in (params, own, wider)]
    if len({len(leaves) for leaves in trees}) > 1:
        return
    for leaf, narrow, wide in zip(*trees, strict=True):
        if leaf.ndim != narrow.ndim:
            continue
        for got, want, more in zip(leaf.shape, narrow.shape, wide.shape, strict=True):
            if (want, more) == (size, size + 1) and got != size:
                raise ValueError(f"xs has {size} features but params were made for {got}.")


def _check_dtypes(params: Params, own: Params) -> None:
    leaves, expected = jax.tree.leaves_with_path(params), jax.tree.leaves(own)
    if len(leaves) != len(expected):
        return
    for (path, leaf), want in zip(leaves, expected, strict=True):
        is_float = jnp.issubdtype(want.dtype, jnp.floating)
        if is_float and not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(
                f"params{jax.tree_util.keystr(path)} must be floats, as the cell's init makes "
                f"them, got {leaf.dtype}."
            )


class _Problem(NamedTuple):
    text: str
    cause: Exception | None = None


def _find_problem(cell: Cell, params: Params, x: jax.ShapeDtypeStruct) -> _Problem | None:
    """Why `cell` cannot make a step with `params`, in words."""
    try:
        carry = jax.eval_shape(cell.init_carry, params)
    except _ERRORS as error:
        return _Problem(f"its init_carry(params) raises {first_line(error)}", error)
    try:
        result = jax.eval_shape(cell.step, params, carry, x)
    except _ERRORS as error:
        return _Problem(f"its step(params, carry, x) raises {first_line(error)}", error)
    if not isinstance(result, tuple) or len(result) != 2:
        return _Problem(f"its step must return (carry, y), not {describe(result)}")
    new, y = result
    if jax.tree.map(jnp.shape, new) != jax.tree.map(jnp.shape, carry):
        return _Problem(
            "its step must return (carry, y) with a carry like the one that it is given, "
            f"{_shapes(carry)}, not {_shapes(new)}"
        )
    for before, after in zip(jax.tree.leaves(carry), jax.tree.leaves(new), strict=True):
        if _kind(after.dtype) > _kind(before.dtype):
            return _Problem(
                f"its step returns {after.dtype} for a carry that its init_carry makes of "
                f"{before.dtype}, which cannot hold it"
            )
    if isinstance(y, jax.ShapeDtypeStruct) and y.ndim == 0:
        return _Problem("its step must return a y of shape [H], not a number")
    return None


def _is_complex(array: jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(array.dtype, jnp.complexfloating)


def _name(tree: Any) -> str:
    """What a tree of shapes is."""
    if isinstance(tree, jax.ShapeDtypeStruct):
        return "an array"
    fields = getattr(tree, "_fields", None)
    return type(tree).__name__ if fields else describe(tree)


def _paths(tree: Any) -> str:
    return ", ".join(jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(tree))


def _shapes(tree: Any) -> str:
    leaves = jax.tree.leaves_with_path(tree)
    words = [f"{jax.tree_util.keystr(path)} {jnp.shape(leaf)}" for path, leaf in leaves]
    return ", ".join(word.removeprefix(".").strip() for word in words) or "nothing"


def advise(params: Any) -> str:
    """What to do with parameters of something else."""
    if hasattr(params, "rnn"):
        return " Give its field rnn, or run the function that these parameters were made for."
    if type(params) in (list, tuple) and params and hasattr(params[0], "rnn"):
        return (
            " These are the parameters of a stack: birnn_jax.stack(layers, params, xs) runs them."
        )
    return ""
