"""The derivative of a layer: products over all steps, around a loop that sees no weight gradient.

The loop is cut into chunks of time whose intermediate arrays stay in cache. Each chunk is
recomputed when it is differentiated (`jax.checkpoint`), so that nothing is stored but what the
forward pass stored.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import widen
from ...cells._heads import multiply_heads, recurrent_product, split_heads
from ..moving import Moving, fill_zeros, start_of
from .cell_rule import CellRule
from .plan import chunk_steps, get_plan
from .rules import get_rule
from .time_order import cut, to_steps


class LinearSteps(NamedTuple):
    """All steps of one direction of the linear recurrence, over time."""

    coefficients: Any
    d_in: Any
    valid: jax.Array | None  # [T, B, H]
    is_start: jax.Array | None  # [T, B, H], where a segment begins


# `(rule, w_h, d_carries, d_starts, steps) -> (d_carries, d_hs)`, of all directions: the recurrence
# that is linear in d_carries, d_starts (before the first step of a segment, or None) and d_in. Each
# w_h is `[H, G*H]`, or `[K, H/K, G*H/K]` of several heads.
LinearLoop = Callable[[CellRule, tuple[jax.Array, ...], Any, Any, Any], Any]


class StepResiduals(NamedTuple):
    """What the forward pass stores of every step of a direction, in its order."""

    carry: Any  # before the step, leaves [T, B, H]; h is None where the outputs have it
    activations: Any  # None where they are to be computed again


class _Steps(NamedTuple):
    """Some steps of one direction, in the order of the direction."""

    xs: jax.Array  # [T, B, D], zero in padding
    mask: jax.Array | None  # [T, B, 1], True at valid steps
    is_start: jax.Array | None  # [T, B, 1], True where a segment begins
    residuals: StepResiduals
    d_xs: jax.Array | None  # [T, B, D]; None is zero


def layer_tangent(
    directions: tuple[Direction, ...],
    ys: jax.Array,
    residuals: tuple[StepResiduals, ...],
    moving: Sequence[Moving],
    linear_loop: LinearLoop,
    in_chunks: bool,
) -> Any:
    """`(d_carry, d_hs)` for each direction, `d_hs` `[T, B, H]` in the order of the direction.

    `ys` are the outputs of all directions, side by side; `moving` are the tangents.
    """
    pairs = list(zip(moving, directions, strict=True))
    d_xs = tuple(
        None if d.xs is None else to_steps(d.xs, direction.valid, direction.reverse)
        for d, direction in pairs
    )
    d_carries = tuple(fill_zeros(d.state, direction.carry) for d, direction in pairs)
    d_starts = tuple(fill_zeros(d.start, start_of(direction)) for d, direction in pairs)
    # Wide before the loop, so that it adds up their gradient in the wide dtype.
    d_params = tuple(widen(d.params) for d in moving)
    run = functools.partial(_run_chunk, linear_loop)
    if in_chunks:
        run = jax.checkpoint(run, prevent_cse=False, static_argnums=0)
    num_steps, h = directions[0].xs.shape[1], directions[0].carry.h
    keep_gates = residuals[0].activations is not None
    d_carries, d_hs = _over_chunks(
        lambda size, begin, d_carries, steps: run(
            size, begin, directions, ys, d_params, d_starts, d_carries, steps
        ),
        d_carries,
        tuple(zip(residuals, d_xs, strict=True)),
        num_steps,
        chunk_steps(num_steps, h, keep_gates) if in_chunks else max(num_steps, 1),
    )
    return tuple(
        (d_carry, d_h.astype(direction.xs.dtype))
        for direction, d_carry, d_h in zip(directions, d_carries, d_hs, strict=True)
    )


def _over_chunks(run: Any, carry: Any, steps: Any, num_steps: int, size: int) -> Any:
    """`run(size, begin, carry, steps) -> (carry, ys)`, and once for the steps that remain."""
    count, rest = divmod(num_steps, size)
    if count * size in (0, size) and rest == 0:
        return run(num_steps, 0, carry, steps)
    whole = jax.tree.map(
        lambda leaf: leaf[: count * size].reshape(count, size, *leaf.shape[1:]), steps
    )
    begins = size * jnp.arange(count)
    carry, ys = jax.lax.scan(
        lambda carry, chunk: run(size, chunk[0], carry, chunk[1]), carry, (begins, whole)
    )
    ys = jax.tree.map(lambda leaf: leaf.reshape(count * size, *leaf.shape[2:]), ys)
    if rest:
        last = jax.tree.map(lambda leaf: leaf[count * size :], steps)
        carry, more = run(rest, count * size, carry, last)
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, more)
    return carry, ys


def _cut_steps(
    direction: Direction,
    ys: jax.Array,
    first_column: int,
    begin: Any,
    size: int,
    residuals: StepResiduals,
    d_xs: Any,
) -> _Steps:
    """The steps of a direction from `begin` on, whose outputs begin at that column of `ys`."""
    reverse = direction.reverse
    xs, mask = cut(direction.xs, begin, size, reverse), None
    if direction.valid is not None:
        mask = cut(direction.valid[..., None], begin, size, reverse)
        xs = jnp.where(mask, xs, 0)
    if residuals.carry.h is None:
        columns = (first_column, direction.carry.h.shape[-1])
        before = cut(ys, jnp.maximum(begin - 1, 0), 1, reverse, *columns)
        first = jnp.where(begin == 0, direction.carry.h, before)
        h = jnp.concatenate([first, cut(ys, begin, size, reverse, *columns)[:-1]])
        residuals = residuals._replace(carry=residuals.carry._replace(h=h))
    is_start = None
    if direction.starts is not None:
        is_start = cut(direction.starts.at[..., None], begin, size, reverse)
    return _Steps(xs, mask, is_start, residuals, d_xs)


def _run_chunk(
    linear_loop: LinearLoop,
    size: int,
    begin: Any,
    directions: tuple[Direction, ...],
    ys: jax.Array,
    d_params: Any,
    d_starts: Any,
    d_carries: Any,
    steps: Any,
) -> Any:
    rule = get_rule(directions)
    inputs, recurrent, offset = [], [], 0
    for direction, tangent, stored in zip(directions, d_params, steps, strict=True):
        chunk = _cut_steps(direction, ys, offset, begin, size, *stored)
        offset += direction.carry.h.shape[-1]
        activations, carry = chunk.residuals.activations, chunk.residuals.carry
        if activations is None:
            activations = rule.activate(rule.pack(direction.params), chunk.xs, carry.h)
        coefficients = rule.coefficients(activations, carry)
        d_in = rule.inject(coefficients, *_d_sums(widen(direction.params), tangent, widen(chunk)))
        # `[T, B, H]`: what needs no carry, a broadcast too, JAX would take out as a second loop.
        flags = (
            None if flag is None else jnp.broadcast_to(flag, carry.h.shape)
            for flag in (chunk.mask, chunk.is_start)
        )
        inputs.append(LinearSteps(coefficients, d_in, *flags))
        recurrent.append(split_heads(widen(direction.params.w_h), carry.h.shape[-1]))
    return linear_loop(rule, tuple(recurrent), d_carries, d_starts, tuple(inputs))


def scan_linear(
    rule: CellRule, w_h: tuple[jax.Array, ...], d_carries: Any, d_starts: Any, steps: Any
) -> Any:
    """A `LinearLoop` that JAX transposes by itself."""
    # Turned once, here: so the transpose finds its matrix in the order that is fast on CPU.
    turned = [jax.lax.optimization_barrier(w.swapaxes(-1, -2)) for w in w_h]

    def body(d_carries, steps):
        new = tuple(
            _advance(rule, w_t, d_start, d_carry, step)
            for w_t, d_start, d_carry, step in zip(turned, d_starts, d_carries, steps, strict=True)
        )
        return new, tuple(d_carry.h for d_carry in new)

    return jax.lax.scan(body, d_carries, steps, unroll=get_plan().unroll)


def _advance(rule: CellRule, w_t: jax.Array, d_start: Any, d_carry: Any, step: LinearSteps) -> Any:
    if step.is_start is not None:
        d_carry = _select(step.is_start, d_start, d_carry)
    d_u = multiply_heads(d_carry.h, w_t.swapaxes(-1, -2))
    new = rule.advance(step.coefficients, d_carry, d_u, step.d_in)
    return new if step.valid is None else _select(step.valid, new, d_carry)


def _select(condition: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), new, old)


def _d_sums(params: Any, d_params: Any, steps: _Steps) -> tuple[jax.Array, jax.Array]:
    """Derivatives of x w_x + b and of h w_h + b_hn at constant h, `[T, B, G*H]` each."""
    num_steps, batch_size, _ = steps.xs.shape
    hidden_size, size = steps.residuals.carry.h.shape[-1], params.b.shape[0]
    d_a_x = d_a_h = jnp.zeros([batch_size * num_steps, size], steps.xs.dtype)
    if steps.d_xs is not None:
        d_a_x += _rows(steps.d_xs) @ params.w_x
    if d_params.w_x is not None:
        d_a_x += _times(steps.xs, d_params.w_x)
    if d_params.b is not None:
        d_a_x += d_params.b[None]
    if d_params.w_h is not None:
        d_a_h += _times_heads(steps.residuals.carry.h, d_params.w_h)
    if getattr(d_params, "b_hn", None) is not None:
        d_a_h += jnp.pad(d_params.b_hn, (size - hidden_size, 0))[None]
    shape = (batch_size, num_steps, size)
    return d_a_x.reshape(shape).swapaxes(0, 1), d_a_h.reshape(shape).swapaxes(0, 1)


def _rows(xs: jax.Array) -> jax.Array:
    """`[T, B, .]` as `[B*T, .]`: in this order the rows of one device stay together."""
    return xs.swapaxes(0, 1).reshape(-1, xs.shape[-1])


def _times(xs: jax.Array, d_w: jax.Array) -> jax.Array:
    """`_rows(xs) @ d_w`, arranged for its transpose, the gradient of the weights.

    XLA on CPU is twice as fast at that product when its left side is stored turned, but folds a
    mere transpose back into the product (docs/development/kernels.md).
    """
    turned = jax.lax.optimization_barrier(_rows(xs).T)
    return jax.lax.dot_general(turned, d_w, (((0,), (0,)), ((), ())))


def _times_heads(hs: jax.Array, d_w: jax.Array) -> jax.Array:
    """The same for recurrent weights."""
    return _times(hs, d_w) if len(d_w) == hs.shape[-1] else recurrent_product(_rows(hs), d_w)
