"""The checks of arguments, made once, where the caller enters. They run at trace time."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from .types import Bi, Cell, InitWithOptions, Params


def check_xs(xs: jax.Array) -> None:
    """`xs` is `[B, T, D]`."""
    if xs.ndim != 3:
        raise ValueError(
            f"xs must be [B, T, D], got shape {xs.shape}. For one sequence use xs[None], for more "
            "batch dimensions jax.vmap; token ids are embedded first."
        )


def as_lengths(lengths: ArrayLike, *, batch_size: int) -> jax.Array:
    """`lengths` as an array of `[B]` integers."""
    lengths = jnp.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise TypeError(
            f"lengths must be integers, the number of valid steps of each row, got {lengths.dtype}."
            " A mask is given as birnn_jax.Mask(mask)."
        )
    if lengths.shape != (batch_size,):
        raise ValueError(
            f"lengths must be [B] with B = {batch_size} as in xs, got shape {lengths.shape}."
        )
    # In a narrow type the number of a step could overflow.
    return lengths.astype(jnp.int32)


def check_params(cell: Cell, params: Params, xs: jax.Array) -> None:
    """`params` are those of one direction of `cell`, and fit `xs` and one another.

    What they are is what `cell.init` says that it returns. Cells share names of fields and even
    shapes: without this some would compute something with the parameters of another.
    """
    init = cell.init.init if isinstance(cell.init, InitWithOptions) else cell.init
    expected = getattr(init, "__annotations__", {}).get("return")
    is_known = isinstance(expected, type)
    if isinstance(params, Bi):
        raise ValueError(
            f"params must be {expected.__name__ if is_known else 'those'} of one direction, got a "
            "Bi of two: give params.fwd or params.bwd, or run both directions."
        )
    if is_known and not isinstance(params, expected):
        raise ValueError(
            f"params must be {expected.__name__}, which the cell's init makes, got "
            f"{type(params).__name__}."
        )
    _check_features(params, xs)
    if is_known:
        _check_step(cell, params, jax.ShapeDtypeStruct(xs.shape[2:], xs.dtype))


def _check_step(cell: Cell, params: Params, x: jax.ShapeDtypeStruct) -> None:
    """A step gives back a carry of the shapes it was given."""
    # A noisy step wraps another, and has its own words for what it cannot do.
    step, cause = getattr(cell.step, "step", cell.step), None
    try:
        carry = jax.eval_shape(cell.initial_carry, params)
        new, _ = jax.eval_shape(step, params, carry, x)
        if jax.tree.map(jnp.shape, new) == jax.tree.map(jnp.shape, carry):
            return
    except (TypeError, ValueError) as error:
        cause = error
    leaves = jax.tree.leaves_with_path(params)
    shapes = [f"{jax.tree_util.keystr(path)[1:]} {jnp.shape(leaf)}" for path, leaf in leaves]
    raise ValueError(
        f"Arrays of {type(params).__name__} must fit one another, got {', '.join(shapes)}."
    ) from cause


def _check_features(params: Params, xs: jax.Array) -> None:
    """The input weights, where the cell keeps them in a field `w_x`, fit the features of `xs`."""
    w_x = getattr(params, "w_x", None)
    if w_x is not None and w_x.shape[0] != xs.shape[-1]:
        raise ValueError(f"xs has {xs.shape[-1]} features but params were made for {w_x.shape[0]}.")


def check_carry(carry: Any, expected: Any) -> None:
    """`carry` has the structure and the shapes of `expected`."""
    want, got = jax.tree.structure(expected), jax.tree.structure(carry)
    if want != got:
        raise ValueError(f"initial_carry must have the structure {want}, got {got}.")
    for path, leaf in jax.tree.leaves_with_path(carry):
        _check_carry_leaf(jax.tree_util.keystr(path), jnp.shape(leaf), path, expected)


def _check_carry_leaf(name: str, shape: tuple[int, ...], path: Any, expected: Any) -> None:
    want = dict(jax.tree.leaves_with_path(expected))[path].shape
    if shape != want:
        raise ValueError(f"initial_carry{name} must have shape {want}, got {shape}.")


def check_choice(name: str, value: Any, choices: Any) -> None:
    """`value` is one of `choices`."""
    if value not in choices:
        expected = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {expected}, got {value!r}.")


def check_rate(name: str, rate: float) -> None:
    """`rate` is a probability below one."""
    if not 0 <= rate < 1:
        raise ValueError(f"{name} must be at least 0 and below 1, got {rate}.")
