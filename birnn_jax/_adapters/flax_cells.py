"""What Flax's cells must keep to, so that they are three pure functions over parameters alone."""

import functools
from collections.abc import Callable
from typing import Any

import jax


def check_features(name: str, num_feature_axes: int, layer: str) -> None:
    """A step reads one axis of features."""
    if num_feature_axes != 1:
        raise ValueError(
            f"{name} reads inputs with {num_feature_axes} axes of features; layers here read "
            f"[B, T, D]. Use {layer}."
        )


def check_state(name: str, kinds: Any, layer: str) -> None:
    """A cell has parameters and no other state."""
    if kinds:
        raise ValueError(
            f"{name} has state beside its parameters: {', '.join(sorted(kinds))}. A cell here is a "
            f"pure function of its parameters. Use {layer}."
        )


def check_initial_carry(name: str, initialize: Callable[..., Any], input_size: int) -> None:
    """The initial carry is a constant: of the same shapes for any input, and not drawn.

    `initialize` takes a key, and `input_shape` by name.
    """
    key = jax.random.key(0)
    shape, other = (
        jax.eval_shape(functools.partial(initialize, input_shape=(size,)), key)
        for size in (1, input_size)
    )
    if shape != other:
        raise ValueError(
            f"The carry of {name} has sizes of the input in it. Give the cell a carry of its own "
            "sizes, or write it as a birnn_jax.Cell."
        )
    if _depends_on_argument(functools.partial(initialize, input_shape=(1,)), key):
        raise ValueError(
            f"{name} draws its initial carry. Leave carry_init out, draw the carry yourself and "
            "give it to the call: initial_carry=cell.initialize_carry(...)."
        )


def _depends_on_argument(function: Callable[[jax.Array], Any], argument: jax.Array) -> bool:
    """True if one of the results is computed from the argument."""
    jaxpr = jax.make_jaxpr(function)(argument).jaxpr
    reached = {id(variable) for variable in jaxpr.invars}
    for equation in jaxpr.eqns:
        if reached & {id(variable) for variable in equation.invars}:
            reached |= {id(variable) for variable in equation.outvars}
    return bool(reached & {id(variable) for variable in jaxpr.outvars})
