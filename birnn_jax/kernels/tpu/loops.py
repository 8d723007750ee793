"""The two loops of a layer, forward and of its gradient, by `run_steps`: any cell with a rule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..launch_inputs import Directions, Flags, over_time, stack_flags, stack_sums
from ..xla.cell_rule import CellRule
from ..xla.derivative import LinearSteps
from ..xla.lanes import stack, unstack
from ..xla.rules import get_rule
from .time_loop import Streams, run_steps


def loop(directions: Directions, store: Callable[[Any, Any, Any], Any]) -> tuple[Any, Any]:
    """As `kernels.xla.loop.loop`: results, and what `store` keeps of every step, `[T, B, ...]`."""
    rule = get_rule(directions)
    reverse = tuple(direction.reverse for direction in directions)
    in_time, in_order = reverse, (False,) * len(directions)
    packed = [rule.pack(direction.params) for direction in directions]
    sums = stack_sums(rule, packed, directions)
    flags = jax.tree.map(lambda flag: flag[..., None], stack_flags(directions))
    starts = [direction.starts and direction.starts.carry for direction in directions]
    recurrent = stack([_without_inputs(rule, direction) for direction in directions])
    carry = stack([direction.carry for direction in directions])
    out_dtype = directions[0].params.w_h.dtype

    def step(weights: Any, carry: Any, inputs: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        (weights, start), (a_x, flags) = weights, inputs
        if flags.is_start is not None:
            carry = _select(flags.is_start, start, carry)
        activations = rule.finish(weights, a_x, carry.h)
        new = rule.update(activations, carry)
        y = new.h
        if flags.valid is not None:
            new = _select(flags.valid, new, carry)
            y = jnp.where(flags.valid != 0, y, 0)
        return new, (y, store(activations, carry, new))

    weights = recurrent, stack(starts)
    inputs = tuple(Streams(array, in_time) for array in (sums, flags))
    first = jax.tree.map(lambda leaf: leaf[0], (weights, carry))
    now = jax.tree.map(lambda leaf: leaf[0, 0], (sums, flags))
    like = jax.eval_shape(step, *first, now)
    y, stored = over_time(like[1], *sums.shape[:2])
    outputs = Streams(jax.ShapeDtypeStruct(y.shape, out_dtype), in_time), Streams(stored, in_order)
    carries, (ys, stored) = run_steps(step, weights, carry, inputs, outputs)
    ys = jnp.concatenate([leaf.swapaxes(0, 1) for leaf in ys], axis=-1)
    count = len(directions)
    return (unstack(carries, count), ys), unstack(stored, count)


def _without_inputs(rule: CellRule, direction: Direction) -> Any:
    """The packed weights of a cell that has no inputs: those of a step after `project`."""
    params = direction.params._replace(w_x=direction.params.w_x[:0])
    return jax.tree.map(lambda leaf: leaf if leaf.size else None, rule.pack(params))


def transposed_loop(
    rule: CellRule,
    w_h: tuple[jax.Array, ...],
    steps: tuple[LinearSteps, ...],
    d_starts: Any,
    d_ins: tuple[Any, ...],
    cts: tuple[Any, Any],
) -> tuple[Any, Any, Any]:
    """The transpose of the linear recurrence of `kernels.xla.derivative`, in one launch.

    Args:
      rule: of the cell.
      w_h: `[H, G*H]` for each direction.
      steps: for each direction, without d_in.
      d_starts: what they are like, for each direction, or None.
      d_ins: what they are like, for each direction.
      cts: cotangents of the carries after the last step and of every h, `[T, B, H]`.

    Returns:
      Cotangents of the carries before the first step, of the carries before the first step of a
      segment, and of d_in.
    """
    ct_carries, ct_hs = cts
    last_first = (True,) * len(w_h)
    columns = [
        jax.tree.map(lambda flag: flag[..., :1].astype(jnp.int32), Flags(s.valid, s.is_start))
        for s in steps
    ]
    coefficients = stack([step.coefficients for step in steps])
    streams = coefficients, stack(ct_hs), stack(columns)
    d_in = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), d_ins[0])

    def step(w_h: jax.Array, cts: Any, inputs: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        (ct, ct_start), (coefficients, ct_h, flags) = cts, inputs
        ct = ct._replace(h=ct.h + ct_h)

        def advance(d_carry: Any, d_u: jax.Array, d_in: Any) -> Any:
            return rule.advance(coefficients, d_carry, d_u, d_in)

        d_u = jax.ShapeDtypeStruct((ct.h.shape[0], w_h.shape[1]), ct.h.dtype)
        old, ct_u, ct_in = jax.linear_transpose(advance, ct, d_u, d_in)(ct)
        back = jax.lax.dot_general(
            ct_u, w_h, (((1,), (1,)), ((), ())), preferred_element_type=ct_u.dtype
        )
        old = old._replace(h=old.h + back)
        if flags.valid is not None:
            old = _select(flags.valid, old, ct)
            ct_in = _select(flags.valid, ct_in, jax.tree.map(jnp.zeros_like, ct_in))
        if flags.is_start is not None:
            zeros = jax.tree.map(jnp.zeros_like, old)
            found = _select(flags.is_start, old, zeros)
            ct_start = jax.tree.map(jnp.add, ct_start, found)
            old = _select(flags.is_start, zeros, old)
        return (old, ct_start), (ct_in,)

    num_steps = jax.tree.leaves(ct_hs)[0].shape[0]
    shapes = over_time(d_in, len(w_h), num_steps)
    (ct_carries, ct_starts), (ct_ins,) = run_steps(
        step,
        stack(w_h),
        (stack(ct_carries), stack(jax.tree.map(jnp.zeros_like, d_starts))),
        tuple(Streams(stream, last_first) for stream in streams),
        (Streams(shapes, last_first),),
    )
    count = len(w_h)
    return unstack(ct_carries, count), unstack(ct_starts, count), unstack(ct_ins, count)


def _select(condition: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda new, old: jnp.where(condition != 0, new, old), new, old)
