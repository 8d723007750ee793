"""What a layer computes, one row and one step after the other: every other way is held to this."""

import functools

import jax
import jax.numpy as jnp

from ._types import Carry, Cell, Params


def scan_row(
    cell: Cell,
    params: Params,
    reverse: bool,
    xs: jax.Array,
    mask: jax.Array | None,
    carry: Carry,
) -> tuple[Carry, jax.Array]:
    """`xs` is `[T, D]`, `mask` `[T]`, True at valid steps, or None."""

    def select(valid, new, old):
        return new if valid is None else jnp.where(valid, new, old)

    def body(carry, inputs):
        x, valid = inputs
        # The input is masked too: through an unused branch a NaN would still reach the gradient.
        new_carry, y = cell.step(params, carry, select(valid, x, jnp.zeros_like(x)))
        new_carry = jax.tree.map(
            lambda new, old: jax.lax.convert_element_type(new, old.dtype), new_carry, carry
        )
        carry = jax.tree.map(functools.partial(select, valid), new_carry, carry)
        return carry, select(valid, y, jnp.zeros_like(y))

    return jax.lax.scan(body, carry, (xs, mask), reverse=reverse)
