"""The loop of a layer over time, of one direction or two."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.meshes import vary
from .chunks import over_chunks
from .derivative import StepResiduals
from .lanes import arrange
from .plan import are_apart, block_steps, get_plan, unrolled_steps
from .rules import get_rule
from .time_order import Inputs, cut_inputs, over_steps, put, select

Directions = tuple[Direction, ...]
Results = tuple[tuple[Any, ...], jax.Array]  # carries, and ys of all directions [B, T, .]


def run_loops(
    directions: Directions, store: Callable[[Any, Any, Any], Any], out_dtype: Any = None
) -> tuple[Results, tuple[Any, ...]]:
    """As `loop`, which may have one for each direction."""
    directions = vary(directions)
    if store is not store_nothing or not are_apart(directions[0].carry):
        return loop(directions, store, out_dtype)
    alone = [loop((direction,), store, out_dtype)[0] for direction in directions]
    carries, ys = zip(*alone, strict=True)
    nothing = (None,) * len(directions)
    return (tuple(carry for (carry,) in carries), jnp.concatenate(ys, axis=-1)), nothing


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
    their chains are independent work inside a step. Each reads and writes where its steps stand,
    so that nothing is turned or put side by side in memory.
    """
    rule, lanes, plan = get_rule(directions), arrange(directions), get_plan()
    sizes, dtype = sizes_of(directions), out_dtype or directions[0].params.w_h.dtype
    batch_size, num_steps, _ = directions[0].xs.shape
    ys = jnp.zeros([batch_size, num_steps, sum(sizes)], dtype)
    ys, _ = vary((ys, directions))
    weights = lanes.join(rule.pack(direction.params) for direction in directions)
    starts = lanes.join(d.starts and d.starts.carry for d in directions)
    activate = rule.finish if plan.hoisted else rule.activate

    @lanes.at_step
    def step(weights: Any, start: Any, old: Any, now: Inputs) -> tuple[Any, tuple[Any, Any]]:
        if now.is_start is not None:
            old = select(now.is_start, start, old)
        activations = activate(weights, now.xs, old.h)
        new = rule.update(activations, old)
        if now.valid is not None:
            new = select(now.valid, new, old)
        y = new.h if now.valid is None else jnp.where(now.valid, new.h, 0)
        return new, (y.astype(dtype), store(activations, old, new))

    def step_all(carries: Any, now: tuple[Inputs, ...]) -> tuple[Any, Any]:
        carries, outputs = zip(*map(step, weights, starts, carries, now), strict=True)
        return carries, outputs

    project = lanes.over_time(rule.project)

    def run(size: int, begin: Any, state: Any, _: None) -> tuple[Any, Any]:
        carries, ys = state
        inputs = lanes.join((cut_inputs(d, begin, size) for d in directions), axis=1)
        if plan.hoisted:
            sums = tuple(map(project, weights, (lane.xs for lane in inputs)))
            sums = jax.lax.optimization_barrier(sums)  # else XLA for GPUs has a kernel more a step
            inputs = tuple(lane._replace(xs=a) for lane, a in zip(inputs, sums, strict=True))
        carries, outputs = over_steps(step_all, carries, inputs, size, unrolled_steps(size))
        hs, stored = zip(*outputs, strict=True)
        offsets = itertools.accumulate(sizes, initial=0)
        for direction, h, offset in zip(directions, lanes.split(hs, axis=1), offsets, strict=False):
            ys = put(ys, h, begin, direction.reverse, offset)
        return (carries, ys), stored

    carries = lanes.join(direction.carry for direction in directions)
    size = block_steps(num_steps)
    (carries, ys), stored = over_chunks(run, (carries, ys), None, num_steps, size)
    return (lanes.split(carries), ys), lanes.split(stored, axis=1)


def sizes_of(directions: Directions) -> tuple[int, ...]:
    """The columns of each direction in the outputs of a layer."""
    return tuple(direction.carry.h.shape[-1] for direction in directions)
