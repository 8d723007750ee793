"""The loop of a layer over time, of one direction or two, and how the plan arranges directions."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.meshes import vary
from .derivative import StepResiduals
from .plan import are_apart, get_plan
from .rules import get_rule
from .time_order import clear, turn

Directions = tuple[Direction, ...]
Results = tuple[tuple[Any, ...], jax.Array]  # carries, and ys of all directions [B, T, .]


def run_loops(
    directions: Directions, store: Callable[[Any, Any, Any], Any], out_dtype: Any = None
) -> tuple[Results, tuple[Any, ...]]:
    """As `loop`, arranged as the plan says: in one batch of products, in one loop, or apart."""
    directions = vary(directions)
    if is_stacked(directions):
        alone = lambda direction: loop((direction,), store, out_dtype)  # noqa: E731
        ((carries,), ys), (stored,) = jax.vmap(alone)(stack(list(map(turned, directions))))
        count = len(directions)
        results = unstack(carries, count), join_turned(directions, ys)
        return results, unstack(stored, count)
    if store is not store_nothing or not are_apart(directions[0].carry):
        return loop(directions, store, out_dtype)
    alone = [loop((direction,), store, out_dtype)[0] for direction in directions]
    carries, ys = zip(*alone, strict=True)
    nothing = (None,) * len(directions)
    return (tuple(carry for (carry,) in carries), jnp.concatenate(ys, axis=-1)), nothing


def is_stacked(directions: Directions) -> bool:
    """Whether the plan makes one batch of products of the directions."""
    shapes = [jax.tree.map(jnp.shape, turned(direction)) for direction in directions]
    return get_plan().stacked and len(directions) > 1 and shapes[1:] == shapes[:-1]


def turned(direction: Direction) -> Direction:
    """The same work from the first step to the last; directions of one rule then look alike."""
    cell = direction.cell._replace(init=direction.cell.step)  # whatever they begin from
    in_order = over_time(direction, lambda leaf: turn(leaf, direction.reverse))
    return in_order.replace(cell=cell, reverse=False)


def over_time(direction: Direction, change: Callable[[jax.Array], jax.Array]) -> Direction:
    """The direction with all that has an axis of time changed, `[B, T, ...]`."""
    xs, valid, starts = jax.tree.map(change, (direction.xs, direction.valid, at_of(direction)))
    if direction.starts is None:
        return direction.replace(xs=xs, valid=valid)
    return direction.replace(xs=xs, valid=valid, starts=direction.starts._replace(at=starts))


def at_of(direction: Direction) -> jax.Array | None:
    """Where segments begin, `[B, T]`."""
    return None if direction.starts is None else direction.starts.at


def join_turned(directions: Directions, ys: jax.Array) -> jax.Array:
    """Outputs `[K, B, T, H]` of `turned` directions, as those of a layer."""
    pairs = zip(ys, directions, strict=True)
    return jnp.concatenate([turn(y, direction.reverse) for y, direction in pairs], axis=-1)


def stack(trees: Any) -> Any:
    """Trees that are alike as one, with a first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def unstack(tree: Any, count: int) -> tuple[Any, ...]:
    """The inverse of `stack`."""
    return tuple(jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(count))


def store_nothing(activations: Any, old: Any, new: Any) -> None:
    """What `loop` stores where no derivative is asked for."""


def make_store(directions: Directions, keep_gates: bool) -> Callable[[Any, Any, Any], Any]:
    """What `loop` stores for `tangent`."""
    in_ys = all(map(_has_h_in_ys, directions))

    def store(activations, old, new):
        del new
        carry = old._replace(h=None) if in_ys else old
        return StepResiduals(carry, activations if keep_gates else None)

    return store


def _has_h_in_ys(direction: Direction) -> bool:
    """Whether the h before a step is the output of the step before, in its own dtype."""
    has_steps = direction.xs.shape[1] > 0
    same_dtype = direction.params.w_h.dtype == direction.carry.h.dtype
    return has_steps and direction.valid is None and same_dtype


def loop(
    directions: Directions, store: Callable[[Any, Any, Any], Any], out_dtype: Any = None
) -> tuple[Results, tuple[Any, ...]]:
    """Results, and what `store(activations, old carry, new carry)` stores of every step.

    It is `[T, B, ...]`, in the order of the direction. All directions advance in one loop:
    their chains are independent work inside a step. Each reads and writes where its step stands,
    so that nothing is turned or put side by side in memory.
    """
    rule = get_rule(directions)
    if directions[0].xs.shape[1] == 0:  # a loop that never runs is traced, and slices, all the same
        (_, ys), stored = loop(tuple(map(_with_a_step, directions)), store, out_dtype)
        carries = tuple(direction.carry for direction in directions)
        return (carries, ys[:, :0]), jax.tree.map(lambda leaf: leaf[:0], stored)
    sizes = sizes_of(directions)
    batch_size, num_steps, _ = directions[0].xs.shape
    dtype = directions[0].params.w_h.dtype if out_dtype is None else out_dtype
    ys = jnp.zeros([batch_size, num_steps, sum(sizes)], dtype)
    ys, _ = vary((ys, directions))
    plan = get_plan()
    weights = [rule.pack(direction.params) for direction in directions]
    if plan.hoisted:
        directions = tuple(
            direction.replace(xs=rule.project(w, clear(direction.xs, direction.valid)))
            for w, direction in zip(weights, directions, strict=True)
        )
    activate = rule.finish if plan.hoisted else rule.activate
    offsets = tuple(itertools.accumulate(sizes, initial=0))[:-1]

    def body(state, index):
        carries, ys = state
        new_carries, stored = [], []
        for w, old, direction, offset in zip(weights, carries, directions, offsets, strict=True):
            time = num_steps - 1 - index if direction.reverse else index
            now = over_time(direction, functools.partial(_at, time=time))
            x, valid = clear(now.xs, now.valid), now.valid
            if now.starts is not None:
                old = select(now.starts.at, now.starts.carry, old)
            activations = activate(w, x, old.h)
            new = rule.update(activations, old)
            if valid is not None:
                new = select(valid, new, old)
            y = clear(new.h, valid).astype(ys.dtype)[:, None]
            ys = jax.lax.dynamic_update_slice(
                ys, y, (0, time, offset), allow_negative_indices=False
            )
            new_carries.append(new)
            stored.append(store(activations, old, new))
        return (tuple(new_carries), ys), tuple(stored)

    carries = tuple(direction.carry for direction in directions)
    steps = jnp.arange(num_steps)
    return jax.lax.scan(body, (carries, ys), steps, unroll=plan.unroll)


def sizes_of(directions: Directions) -> tuple[int, ...]:
    """The columns of each direction in the outputs of a layer."""
    return tuple(direction.carry.h.shape[-1] for direction in directions)


def _at(leaf: jax.Array, time: jax.Array) -> jax.Array:
    """One step of `[B, T, ...]`."""
    return jax.lax.dynamic_index_in_dim(leaf, time, 1, False, allow_negative_indices=False)


def _with_a_step(direction: Direction) -> Direction:
    return over_time(direction, lambda leaf: jnp.zeros([len(leaf), 1, *leaf.shape[2:]], leaf.dtype))


def select(condition: jax.Array, new: Any, old: Any) -> Any:
    """Rows of carries, leaves `[B, .]`, of `new` where the condition `[B]` is true."""
    return jax.tree.map(lambda new, old: jnp.where(condition[:, None], new, old), new, old)
