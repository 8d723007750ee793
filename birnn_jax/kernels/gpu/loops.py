"""The two loops of a layer, forward and of its gradient, by `run_steps`: any cell with a rule."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..launch_inputs import Directions, Flags, over_time, stack_flags, stack_sums
from ..xla.cell_rule import CellRule
from ..xla.derivative import LinearSteps
from ..xla.lanes import stack, unstack
from ..xla.rules import get_rule
from .columns import Columns, map_columns, run_in_columns
from .exchange import Exchange
from .plan import plan_backward, plan_forward
from .time_loop import Steps, Streams, run_steps


def loop(directions: Directions, store: Callable[[Any, Any, Any], Any]) -> tuple[Any, Any]:
    """As `kernels.xla.loop.loop`: results, and what `store` keeps of every step, `[T, B, ...]`."""
    rule = get_rule(directions)
    reverse = tuple(direction.reverse for direction in directions)
    in_time, in_order = reverse, (False,) * len(directions)
    packed = [rule.pack(direction.params) for direction in directions]
    sums, flags = stack_sums(rule, packed, directions), stack_flags(directions)
    starts = stack([direction.starts and direction.starts.carry for direction in directions])
    carry = stack([direction.carry for direction in directions])
    hidden_size, dtype = carry.h.shape[-1], directions[0].params.w_h.dtype
    w_h, b_h = stack([rule.recurrent(w, hidden_size) for w in packed])
    bias = (
        None if b_h is None else jnp.broadcast_to(b_h[:, None], (*carry.h.shape[:2], b_h.shape[-1]))
    )
    num_gates = w_h.shape[-1] // hidden_size
    plan, pieces = plan_forward(hidden_size, num_gates, dtype)
    exchange = Exchange("gather", plan, sent=1, received=num_gates, pieces=pieces)

    def before(carry: Any, inputs: Any, now: Any) -> Any:
        (start, bias), flags = now
        if flags.is_start is not None:
            carry = _select(flags.is_start, start, carry)
        return carry.h, (carry, inputs[0], bias, flags)

    def after(kept: Any, a_h: Columns) -> Any:
        carry, a_x, bias, flags = kept
        if bias is not None:
            a_h = map_columns(jnp.add, a_h, bias)
        activations = run_in_columns(rule.combine, a_x, a_h)
        new = run_in_columns(rule.update, activations, carry)
        y = new.h
        if flags.valid is not None:
            new = _select(flags.valid, new, carry)
            y = _choose(flags.valid, y, None)
        return new, (y, store(activations, carry, new))

    def shapes(a_x: Any, carry: Any) -> Any:
        activations = rule.combine(a_x, a_x)
        return carry.h, store(activations, carry, rule.update(activations, carry))

    like = jax.eval_shape(shapes, sums[0, 0], jax.tree.map(lambda leaf: leaf[0], carry))
    y, stored = over_time(like, *sums.shape[:2])
    outputs = (
        Streams(jax.ShapeDtypeStruct(y.shape, dtype), in_time),
        Streams(stored, in_order),
    )
    carries, (ys, stored) = run_steps(
        Steps(before, after),
        exchange,
        w_h.reshape(len(w_h), hidden_size, 1, num_gates, hidden_size).swapaxes(-1, -2),
        carry,
        (starts, bias),
        (Streams(sums, in_time),),
        Streams(flags, in_time),
        outputs,
    )
    ys = jnp.concatenate([leaf.swapaxes(0, 1) for leaf in ys], axis=-1)
    count = len(directions)
    return (unstack(carries, count), ys), unstack(stored, count)


def transposed_loop(
    rule: CellRule,
    w_h: tuple[jax.Array, ...],
    steps: tuple[LinearSteps, ...],
    d_starts: Any,
    d_ins: tuple[Any, ...],
    cts: tuple[Any, Any],
    *,
    dtype: Any,
) -> tuple[Any, Any, Any]:
    """The transpose of the linear recurrence of `kernels.xla.derivative`, in one launch.

    Args:
      rule: of the cell.
      w_h: `[H, G*H]` for each direction.
      steps: for each direction, without d_in.
      d_starts: what they are like, for each direction, or None.
      d_ins: what they are like, for each direction.
      cts: cotangents of the carries after the last step and of every h, `[T, B, H]`.
      dtype: of the parameters; `w_h` holds them in float32.

    Returns:
      Cotangents of the carries before the first step, of the carries before the first step of a
      segment, and of d_in.
    """
    ct_carries, ct_hs = cts
    last_first = (True,) * len(w_h)
    flags = [
        jax.tree.map(lambda flag: flag[..., 0].astype(jnp.int32), Flags(s.valid, s.is_start))
        for s in steps
    ]
    weights = stack(w_h)
    hidden_size = weights.shape[1]
    num_gates = weights.shape[2] // hidden_size
    plan, pieces = plan_backward(hidden_size, num_gates, dtype)
    exchange = Exchange("scatter", plan, sent=num_gates, received=1, pieces=pieces)

    def transpose(coefficients: Any, ct: Any) -> Any:
        def advance(d_carry: Any, d_u: jax.Array, d_in: Any) -> Any:
            return rule.advance(coefficients, d_carry, d_u, d_in)

        d_u = jax.ShapeDtypeStruct((ct.h.shape[0], num_gates * ct.h.shape[1]), ct.h.dtype)
        d_in = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                (ct.h.shape[0], leaf.shape[-1] // hidden_size * ct.h.shape[1]), leaf.dtype
            ),
            d_ins[0],
        )
        return jax.linear_transpose(advance, ct, d_u, d_in)(ct)

    def before(cts: Any, inputs: Any, now: Any) -> Any:
        (ct, ct_start), (coefficients, ct_h), (_, flags) = cts, inputs, now
        ct = ct._replace(h=map_columns(jnp.add, ct.h, ct_h))
        old, ct_u, ct_in = run_in_columns(transpose, coefficients, ct)
        return ct_u, (ct, ct_start, old, ct_in, flags)

    def after(kept: Any, back: Columns) -> Any:
        ct, ct_start, old, ct_in, flags = kept
        old = old._replace(h=map_columns(jnp.add, old.h, back))
        if flags.valid is not None:
            old = _select(flags.valid, old, ct)
            ct_in = _select(flags.valid, ct_in, None)
        if flags.is_start is not None:
            found = _select(flags.is_start, old, None)
            add = functools.partial(map_columns, jnp.add)
            ct_start = ct_start and jax.tree.map(add, ct_start, found)
            old = jax.tree.map(lambda leaf: _choose(flags.is_start, None, leaf), old)
        return (old, ct_start), (ct_in,)

    num_steps = jax.tree.leaves(ct_hs)[0].shape[0]
    d_in = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), d_ins[0])
    (ct_carries, ct_starts), (ct_ins,) = run_steps(
        Steps(before, after),
        exchange,
        weights.reshape(len(weights), hidden_size, num_gates, hidden_size).transpose(0, 3, 2, 1)[
            ..., None
        ],
        (stack(ct_carries), stack(jax.tree.map(jnp.zeros_like, d_starts))),
        (),
        tuple(
            Streams(s, last_first) for s in (stack([s.coefficients for s in steps]), stack(ct_hs))
        ),
        Streams(stack(flags), last_first),
        (Streams(over_time(d_in, len(w_h), num_steps), last_first),),
    )
    count = len(w_h)
    return unstack(ct_carries, count), unstack(ct_starts, count), unstack(ct_ins, count)


def _select(condition: jax.Array, new: Any, old: Any) -> Any:
    """Columns of trees; None is zero."""
    if old is None:
        return jax.tree.map(lambda new: _choose(condition, new, None), new)
    return jax.tree.map(lambda new, old: _choose(condition, new, old), new, old)


def _choose(condition: jax.Array, new: Columns | None, old: Columns | None) -> Columns:
    if new is None:
        assert old is not None
        return map_columns(lambda old: jnp.where(condition, jnp.zeros_like(old), old), old)
    if old is None:
        return map_columns(lambda new: jnp.where(condition, new, jnp.zeros_like(new)), new)
    return map_columns(lambda new, old: jnp.where(condition, new, old), new, old)
