"""The two loops of a layer, forward and of its gradient, by `run_steps`: any cell with a rule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..xla.cell_rule import CellRule
from ..xla.rules import get_rule
from ..xla.time_order import clear
from .time_loop import Streams, run_steps

Directions = tuple[Direction, ...]


def loop(directions: Directions, store: Callable[[Any, Any, Any], Any]) -> tuple[Any, Any]:
    """As `kernels.xla.loop.loop`: results, and what `store` keeps of every step, `[T, B, ...]`."""
    rule = get_rule(directions)
    reverse = tuple(direction.reverse for direction in directions)
    in_time, in_order = reverse, (False,) * len(directions)
    weights = [rule.pack(direction.params) for direction in directions]
    sums = _stack(
        [
            rule.project(w, clear(direction.xs, direction.valid)).swapaxes(0, 1)
            for w, direction in zip(weights, directions, strict=True)
        ]
    )
    masks = _masks(directions)
    recurrent = _stack([_without_inputs(rule, direction) for direction in directions])
    carry = _stack([direction.carry for direction in directions])
    out_dtype = directions[0].params.w_h.dtype

    def step(weights: Any, carry: Any, inputs: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        a_x, *mask = inputs
        activations = rule.finish(weights, a_x, carry.h)
        new = rule.update(activations, carry)
        y = new.h
        if mask:
            new = jax.tree.map(lambda new, old: jnp.where(mask[0] != 0, new, old), new, carry)
            y = jnp.where(mask[0] != 0, y, 0)
        return new, (y, store(activations, carry, new))

    inputs = tuple(Streams(array, in_time) for array in (sums, *masks))
    first = jax.tree.map(lambda leaf: leaf[0], (recurrent, carry))
    like = jax.eval_shape(step, *first, tuple(stream.arrays[0, 0] for stream in inputs))
    y, stored = _over_time(like[1], *sums.shape[:2])
    outputs = Streams(jax.ShapeDtypeStruct(y.shape, out_dtype), in_time), Streams(stored, in_order)
    carries, (ys, stored) = run_steps(step, recurrent, carry, inputs, outputs)
    ys = jnp.concatenate([leaf.swapaxes(0, 1) for leaf in ys], axis=-1)
    count = len(directions)
    return (_unstack(carries, count), ys), _unstack(stored, count)


def _without_inputs(rule: CellRule, direction: Direction) -> Any:
    """The packed weights of a cell that has no inputs: those of a step after `project`."""
    params = direction.params._replace(w_x=direction.params.w_x[:0])
    return jax.tree.map(lambda leaf: leaf if leaf.size else None, rule.pack(params))


def transposed_loop(
    rule: CellRule, w_h: tuple[jax.Array, ...], inputs: tuple[Any, ...], cts: tuple[Any, Any]
) -> tuple[Any, Any]:
    """The transpose of the linear recurrence of `kernels.xla.derivative`, in one launch.

    Args:
      rule: of the cell.
      w_h: `[H, G*H]` for each direction.
      inputs: for each direction coefficients `[T, B, .]`, what d_in is like, and a mask or None.
      cts: cotangents of the carries after the last step and of every h, `[T, B, H]`.

    Returns:
      Cotangents of the carries before the first step, and of d_in.
    """
    ct_carries, ct_hs = cts
    coefficients, d_ins, masks = zip(*inputs, strict=True)
    last_first = (True,) * len(w_h)
    streams = [_stack(coefficients), _stack(ct_hs)]
    if masks[0] is not None:
        streams.append(_stack([mask[..., :1].astype(jnp.int32) for mask in masks]))

    def step(w_h: jax.Array, ct: Any, inputs: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        coefficients, ct_h, *mask = inputs
        ct = ct._replace(h=ct.h + ct_h)

        def advance(d_carry: Any, d_u: jax.Array, d_in: Any) -> Any:
            return rule.advance(coefficients, d_carry, d_u, d_in)

        d_u = jax.ShapeDtypeStruct((ct.h.shape[0], w_h.shape[1]), ct.h.dtype)
        d_in = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), d_ins[0])
        old, ct_u, ct_in = jax.linear_transpose(advance, ct, d_u, d_in)(ct)
        back = jax.lax.dot_general(
            ct_u, w_h, (((1,), (1,)), ((), ())), preferred_element_type=ct_u.dtype
        )
        old = old._replace(h=old.h + back)
        if mask:
            keep = lambda new, old: jnp.where(mask[0] != 0, new, old)  # noqa: E731
            old = jax.tree.map(keep, old, ct)
            ct_in = jax.tree.map(lambda leaf: jnp.where(mask[0] != 0, leaf, 0), ct_in)
        return old, (ct_in,)

    num_steps = jax.tree.leaves(ct_hs)[0].shape[0]
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((len(w_h), num_steps, *leaf.shape[1:]), leaf.dtype),
        d_ins[0],
    )
    ct_carries, (ct_ins,) = run_steps(
        step,
        _stack(w_h),
        _stack(ct_carries),
        tuple(Streams(stream, last_first) for stream in streams),
        (Streams(shapes, last_first),),
    )
    return _unstack(ct_carries, len(w_h)), _unstack(ct_ins, len(w_h))


def _masks(directions: Directions) -> tuple[jax.Array, ...]:
    """`[K, T, B, 1]`, or nothing where every step is valid."""
    masks = [d.valid.T[..., None].astype(jnp.int32) for d in directions if d.valid is not None]
    return (_stack(masks),) if masks else ()


def _over_time(tree: Any, num_directions: int, num_steps: int) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((num_directions, num_steps, *leaf.shape), leaf.dtype),
        tree,
    )


def _stack(trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _unstack(tree: Any, count: int) -> tuple[Any, ...]:
    return tuple(jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(count))
