"""A push on the carry after every step.

It is zero: the derivative by the push is the derivative by the carry. Pushes enter beside the
inputs of the scan, one a step, so that padding, directions and segments are those of the scan.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from .._core.masks import Lengths, clear_padding
from .._core.meshes import vary
from .._core.types import Carry, Cell, Params
from .._recurrence.scan_cell import scan_cell


def no_pushes(carries: Any, num_steps: int, arguments: Any) -> Any:
    """Zeros `[B, T, ...]` for leaves `[B, ...]`, each device with its own, as the arguments."""

    def no_push(leaf):
        batch_size, *shape = leaf.shape
        return jnp.zeros([batch_size, num_steps, *shape], leaf.dtype)

    return vary((jax.tree.map(no_push, carries), arguments))[0]


def run_pushed(
    cell: Cell,
    params: Params,
    reverse: bool,
    carry: Carry | None,
    push: Carry,
    *,
    xs: jax.Array,
    lengths: Lengths,
) -> tuple[Carry, jax.Array]:
    """`scan_cell` with `push`, leaves `[B, T, ...]`, added to the carry after each step."""
    num_features = xs.shape[-1]
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape[2:], leaf.dtype), push)
    _check_output(cell, params, zeros, jnp.zeros(num_features, xs.dtype))
    flat_zeros, unravel = ravel_pytree(zeros)

    # One more pair of brackets around the parameters: they are not those of `xs` and push.
    def init(key, input_size, hidden_size):
        return (cell.init(key, input_size - flat_zeros.size, hidden_size),)

    def step(params, carry, x):
        x, added = x[:num_features], unravel(x[num_features:].astype(flat_zeros.dtype))
        new, y = cell.step(params[0], carry, x)
        return jax.tree.map(jnp.add, new, added), y + added.h.astype(y.dtype)

    pushed = Cell(init, lambda params: cell.init_carry(params[0]), step)
    flat = jax.vmap(jax.vmap(lambda state: ravel_pytree(state)[0]))(push)
    inputs = jnp.concatenate([clear_padding(xs, lengths), flat], axis=-1)
    return scan_cell(pushed, (params,), inputs, lengths, initial_carry=carry, reverse=reverse)


def _check_output(cell: Cell, params: Params, carry: Carry, x: jax.Array) -> None:
    """The output is the field h of the new carry: not its value, the very variable."""

    def outputs(params, carry, x):
        new, y = cell.step(params, carry, x)
        return getattr(new, "h", None), y

    variables = jax.make_jaxpr(outputs)(params, carry, x).jaxpr.outvars
    if len(variables) != 2 or variables[0] is not variables[1]:
        raise ValueError(
            "Gradients by states need a cell whose output is the field h of its new carry, as in "
            f"the cells of birnn_jax; got one with the step {cell.step}."
        )
