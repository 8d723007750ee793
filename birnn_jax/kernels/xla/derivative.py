"""The derivative of a layer: products over all steps, around a loop that sees no weight gradient.

The loop is cut into chunks of time whose intermediate arrays stay in cache. Each chunk is
recomputed when it is differentiated (`jax.checkpoint`), so that nothing is stored but what the
forward pass stored.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import widen
from ...cells._heads import multiply_heads, recurrent_product, split_heads
from ..moving import Moving, fill_zeros, parts_of, start_of, where_moving
from .cell_rule import CellRule
from .chunks import InTime, over_chunks
from .lanes import Lanes, arrange
from .plan import chunk_steps, get_plan, unrolled_steps
from .rules import get_rule
from .time_order import Inputs, clear, cut, cut_inputs, from_steps, select, to_steps


class LinearSteps(NamedTuple):
    """All steps of one lane of the linear recurrence, over time."""

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
    """Some steps of one lane, in the order of its directions."""

    inputs: Inputs
    residuals: StepResiduals
    d_xs: jax.Array | None  # [T, B, D]; None is zero


def layer_tangent(
    directions: tuple[Direction, ...],
    ys: jax.Array,
    residuals: tuple[StepResiduals, ...],
    moving: Sequence[Moving],
    linear_loop: LinearLoop | None,
) -> Any:
    """`(d_carry, d_hs)` for each direction, `d_hs` `[B, T, H]`, anything in padding.

    `ys` are the outputs of all directions, side by side; `moving` are the tangents. Without a loop
    that is given it is arranged, and cut into chunks, as the plan says.
    """
    lanes = arrange(directions) if linear_loop is None else Lanes(len(directions), stacked=False)
    if lanes.stacked:
        moving = _move_alike(directions, moving)
    pairs = list(zip(moving, directions, strict=True))
    d_xs = [
        None if d.xs is None else InTime(clear(d.xs, direction.valid), direction.reverse)
        for d, direction in pairs
    ]
    d_carries = lanes.join(fill_zeros(d.state, direction.carry) for d, direction in pairs)
    d_starts = lanes.join(fill_zeros(d.start, start_of(direction)) for d, direction in pairs)
    # Wide before the loop, so that it adds up their gradient in the wide dtype.
    params = lanes.join((direction.params, widen(d.params)) for d, direction in pairs)
    recurrent = lanes.join(
        split_heads(widen(direction.params.w_h), direction.carry.h.shape[-1])
        for direction in directions
    )
    rule, num_steps, h = get_rule(directions), directions[0].xs.shape[1], directions[0].carry.h
    size = max(num_steps, 1)
    if linear_loop is None:
        size = chunk_steps(num_steps, h, residuals[0].activations is not None)

    def run(
        size: int, begin: Any, directions: Any, ys: Any, params: Any, d_starts: Any, *state: Any
    ) -> Any:
        d_carries, steps = state
        chunks = _cut_steps(lanes, directions, ys, begin, size, steps)
        make = lanes.over_time(functools.partial(_linear_steps, rule))
        linear = linear_loop or functools.partial(scan_linear, lanes)
        steps = tuple(map(make, params, chunks))
        d_carries, d_hs = linear(rule, recurrent, d_carries, d_starts, steps)
        pairs = zip(lanes.split(d_hs, axis=1), directions, strict=True)
        return d_carries, [InTime(from_steps(d_h, d.reverse), d.reverse) for d_h, d in pairs]

    if linear_loop is None:
        run = jax.checkpoint(run, prevent_cse=False, static_argnums=0)
    d_carries, d_hs = over_chunks(
        lambda size, begin, d_carries, steps: run(
            size, begin, directions, ys, params, d_starts, d_carries, steps
        ),
        d_carries,
        (lanes.join(residuals, axis=1), d_xs),
        num_steps,
        size,
    )
    return tuple(
        (d_carry, d_h.leaf.astype(direction.xs.dtype))
        for direction, d_carry, d_h in zip(directions, lanes.split(d_carries), d_hs, strict=True)
    )


def _move_alike(directions: Sequence[Direction], moving: Sequence[Moving]) -> list[Moving]:
    """What moves in one of the directions moves in all, by zero."""
    any_moves = lambda *ds: None if all(d is None for d in ds) else True  # noqa: E731
    marks = jax.tree.map(any_moves, *moving, is_leaf=lambda d: d is None)
    filled = fill_zeros(list(moving), list(map(parts_of, directions)))
    return where_moving([marks] * len(moving), filled)


def _cut_steps(
    lanes: Lanes,
    directions: tuple[Direction, ...],
    ys: jax.Array,
    begin: Any,
    size: int,
    steps: tuple[Any, Any],
) -> tuple[_Steps, ...]:
    """The steps of each lane from `begin` on, of its residuals and of d_xs of each direction."""
    inputs = lanes.join((cut_inputs(d, begin, size) for d in directions), axis=1)
    residuals, parts = steps
    d_xs = lanes.join(
        (None if part is None else to_steps(part.leaf, part.reverse) for part in parts), axis=1
    )
    if residuals[0].carry.h is None:
        offsets = itertools.accumulate((d.carry.h.shape[-1] for d in directions), initial=0)
        hs = lanes.join(
            (
                _cut_states(direction, ys, offset, begin, size)
                for direction, offset in zip(directions, offsets, strict=False)
            ),
            axis=1,
        )
        residuals = tuple(
            stored._replace(carry=stored.carry._replace(h=h))
            for stored, h in zip(residuals, hs, strict=True)
        )
    return tuple(map(_Steps, inputs, residuals, d_xs))


def _cut_states(
    direction: Direction, ys: jax.Array, first_column: int, begin: Any, size: int
) -> jax.Array:
    """The h before each step from `begin` on, where outputs begin at that column of `ys`."""
    columns = (first_column, direction.carry.h.shape[-1])
    before = cut(ys, jnp.maximum(begin - size, 0), size, direction.reverse, *columns)[-1:]
    first = jnp.where(begin == 0, direction.carry.h, before)
    return jnp.concatenate([first, cut(ys, begin, size, direction.reverse, *columns)[:-1]])


def _linear_steps(rule: CellRule, params: tuple[Any, Any], steps: _Steps) -> LinearSteps:
    """The linear recurrence of some steps, from parameters and their tangents."""
    own, d_params = params
    activations, carry = steps.residuals.activations, steps.residuals.carry
    if activations is None:
        activations = rule.activate(rule.pack(own), steps.inputs.xs, carry.h)
    coefficients = rule.coefficients(activations, carry)
    d_in = rule.inject(coefficients, *_d_sums(widen(own), d_params, widen(steps)))
    # `[T, B, H]`: what needs no carry, a broadcast too, JAX would take out as a second loop.
    flags = (
        None if flag is None else jnp.broadcast_to(flag, carry.h.shape)
        for flag in (steps.inputs.valid, steps.inputs.is_start)
    )
    return LinearSteps(coefficients, d_in, *flags)


def scan_linear(
    lanes: Lanes,
    rule: CellRule,
    w_h: tuple[jax.Array, ...],
    d_carries: Any,
    d_starts: Any,
    steps: tuple[LinearSteps, ...],
) -> Any:
    """A `LinearLoop` of lanes that JAX transposes by itself."""
    # Turned once, here: so the transpose finds its matrix in the order that is fast on CPU.
    turned = [jax.lax.optimization_barrier(w.swapaxes(-1, -2)) for w in w_h]
    advance = lanes.at_step(functools.partial(_advance, rule))

    def body(d_carries, now):
        new = tuple(map(advance, turned, d_starts, d_carries, now))
        return new, tuple(d_carry.h for d_carry in new)

    num_steps = jax.tree.leaves(steps)[0].shape[0]
    unroll = unrolled_steps(num_steps)
    if 1 < unroll == num_steps:  # as a loop would: else XLA for GPUs computes them step by step
        held = jax.lax.optimization_barrier([step._replace(d_in=None) for step in steps])
        d_ins = jax.lax.optimization_barrier([step.d_in for step in steps])
        pairs = zip(held, d_ins, strict=True)
        steps = tuple(step._replace(d_in=d_in) for step, d_in in pairs)
    return jax.lax.scan(body, d_carries, steps, unroll=unroll)


def _advance(rule: CellRule, w_t: jax.Array, d_start: Any, d_carry: Any, step: LinearSteps) -> Any:
    if step.is_start is not None:
        d_carry = select(step.is_start, d_start, d_carry)
    d_u = multiply_heads(d_carry.h, w_t.swapaxes(-1, -2))
    new = rule.advance(step.coefficients, d_carry, d_u, step.d_in)
    return new if step.valid is None else select(step.valid, new, d_carry)


def _d_sums(params: Any, d_params: Any, steps: _Steps) -> tuple[jax.Array, jax.Array]:
    """Derivatives of x w_x + b and of h w_h + b_hn at constant h, `[T, B, G*H]` each."""
    xs, h, size = steps.inputs.xs, steps.residuals.carry.h, params.b.shape[0]
    d_a_x = d_a_h = jnp.zeros([*xs.shape[:2], size], xs.dtype)
    if steps.d_xs is not None:
        d_a_x += _times(steps.d_xs, params.w_x)
    if d_params.w_x is not None:
        d_a_x += _times(xs, d_params.w_x, turned=get_plan().turned)
    if d_params.b is not None:
        d_a_x += d_params.b[None, None]
    if d_params.w_h is not None:
        d_a_h += _times_heads(h, d_params.w_h)
    if getattr(d_params, "b_hn", None) is not None:
        d_a_h += jnp.pad(d_params.b_hn, (size - h.shape[-1], 0))[None, None]
    return d_a_x, d_a_h


def _times(steps: jax.Array, w: jax.Array, turned: bool = False) -> jax.Array:
    """`steps @ w`, if `turned` arranged for its transpose, the gradient of the weights.

    XLA on CPU is twice as fast at that product when its left side is stored turned, but folds a
    mere transpose back into the product (docs/development/kernels.md).
    """
    if not turned:
        return steps @ w
    num_steps, batch_size, size = steps.shape
    # In this order the rows of one device stay together.
    rows = steps.swapaxes(0, 1).reshape(batch_size * num_steps, size)
    turned_rows = jax.lax.optimization_barrier(rows.T)
    sums = jax.lax.dot_general(turned_rows, w, (((0,), (0,)), ((), ())))
    return sums.reshape(batch_size, num_steps, w.shape[-1]).swapaxes(0, 1)


def _times_heads(hs: jax.Array, w_h: jax.Array) -> jax.Array:
    """The same for recurrent weights."""
    has_one = len(w_h) == hs.shape[-1]
    return _times(hs, w_h, turned=get_plan().turned) if has_one else recurrent_product(hs, w_h)
