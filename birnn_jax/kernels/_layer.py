"""One layer, of one direction or two, with a derivative that keeps weights out of the loop.

`lax.scan` differentiates itself by adding to the gradient of the weights at every step. Here the
derivative is given, as a linear recurrence (`_tangent`) which JAX transposes by itself: forward
mode, reverse mode, their compositions and `vmap` all work, which `jax.custom_vjp` would not allow.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._form import Form
from ._plan import get_plan
from ._tangent import Kept, layer_tangent


class Direction(NamedTuple):
    """One direction of a layer, in the order of its visit."""

    params: Any
    carry: Any  # leaves [B, H]
    xs: jax.Array  # [T, B, D], free of NaN in padding
    mask: jax.Array | None  # [T, B, 1], True at valid steps


def run_layer(
    form: Form, keep_gates: bool, directions: tuple[Direction, ...]
) -> tuple[tuple[Any, jax.Array], ...]:
    """For each direction `(carry, hs)`, hs `[T, B, H]` in the order of the visit.

    In padding hs are the frozen state. With `keep_gates` the gradient finds the activations of
    every step, otherwise it computes them again from the states, in one product. Carries,
    activations and the derivative are of the `sum_dtype` of params and xs, hs of their own.
    """
    shapes = [jax.tree.map(jnp.shape, direction) for direction in directions]
    if not get_plan().stacked or shapes[1:] != shapes[:-1]:
        return _run_layer(form, keep_gates, directions)
    run_one = lambda direction: _run_layer(form, keep_gates, (direction,))[0]  # noqa: E731
    outs = jax.vmap(run_one)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *directions))
    return tuple(jax.tree.map(lambda leaf, i=i: leaf[i], outs) for i in range(len(directions)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _run_layer(
    form: Form, keep_gates: bool, directions: tuple[Direction, ...]
) -> tuple[tuple[Any, jax.Array], ...]:
    del keep_gates

    def keep(direction, activations, old, new):
        return new.h.astype(direction.xs.dtype)

    carries, hs = loop(form, directions, keep)
    return tuple(zip(carries, hs, strict=True))


@functools.partial(_run_layer.defjvp, symbolic_zeros=True)
def _run_layer_jvp(form: Form, keep_gates: bool, primals: Any, tangents: Any) -> Any:
    (directions,), (d_directions,) = primals, tangents

    def keep(direction, activations, old, new):
        del direction, new
        return Kept(old, activations if keep_gates else None)

    carries, kept = loop(form, directions, keep)
    out = tuple(
        (carry, _advance_by_one(before.carry.h, carry.h).astype(direction.xs.dtype))
        for direction, carry, before in zip(directions, carries, kept, strict=True)
    )
    return out, layer_tangent(form, directions, kept, d_directions)


def loop(form: Form, directions: tuple[Direction, ...], keep: Any) -> tuple[Any, Any]:
    """Carries, and what `keep(direction, activations, old carry, new carry)` keeps of every step.

    All directions advance in one loop: their chains are independent work inside a step.
    """
    plan = get_plan()
    weights = [form.pack(direction.params) for direction in directions]
    xs = tuple(direction.xs for direction in directions)
    if plan.hoisted:
        xs = tuple(form.project(w, x) for w, x in zip(weights, xs, strict=True))
    activate = form.finish if plan.hoisted else form.activate

    def body(carries, inputs):
        steps = [
            _step(form, activate, w, carry, x, valid)
            for w, carry, (x, valid) in zip(weights, carries, inputs, strict=True)
        ]
        kept = [
            keep(direction, activations, old, new)
            for direction, old, (activations, new) in zip(directions, carries, steps, strict=True)
        ]
        return tuple(new for _, new in steps), tuple(kept)

    carries = tuple(direction.carry for direction in directions)
    inputs = tuple(zip(xs, (direction.mask for direction in directions), strict=True))
    return jax.lax.scan(body, carries, inputs, unroll=plan.unroll)


def _step(
    form: Form, activate: Any, weights: Any, carry: Any, x: jax.Array, valid: jax.Array | None
) -> tuple[Any, Any]:
    activations = activate(weights, x, carry.h)
    new = form.update(activations, carry)
    if valid is not None:
        new = jax.tree.map(lambda new, old: jnp.where(valid, new, old), new, carry)
    return activations, new


def _advance_by_one(before: jax.Array, last: jax.Array) -> jax.Array:
    """The states after every step from those before; written so that XLA fuses it away."""
    is_last = jnp.arange(before.shape[0])[:, None, None] == before.shape[0] - 1
    shifted = jax.lax.pad(before, jnp.zeros([], before.dtype), [(-1, 1, 0), (0, 0, 0), (0, 0, 0)])
    return jnp.where(is_last, last[None], shifted)
