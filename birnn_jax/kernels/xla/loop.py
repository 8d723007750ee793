"""One layer, of one direction or two, with a derivative that keeps weights out of the loop.

`lax.scan` differentiates itself by adding to the gradient of the weights at every step. Here the
derivative is given, as a linear recurrence (`derivative`) which JAX transposes by itself: forward
mode, reverse mode, their compositions and `vmap` all work, which `jax.custom_vjp` would not allow.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..._core.direction import Direction, Outputs
from ..._core.meshes import vary
from .cell_rule import CellRule
from .derivative import LinearLoop, StepResiduals, layer_tangent, scan_linear
from .plan import are_apart, get_plan
from .rules import get_rule
from .time_order import clear, to_time, turn

Directions = tuple[Direction, ...]
Results = tuple[tuple[Any, ...], jax.Array]  # carries, and ys of all directions [B, T, .]


def run_layer(directions: Directions, keep_gates: bool) -> Outputs:
    """Runs every direction of a layer whose cell has a rule.

    With `keep_gates` the gradient finds the activations of every step, otherwise it computes them
    again from the states, in one product. Carries, activations and the derivative are of the
    `sum_dtype` of params and xs, outputs of their own dtype.
    """
    directions = vary(tuple(direction.replace(packed=None) for direction in directions))
    if not get_plan().stacked or not _are_alike(directions):
        carries, ys = _run(keep_gates, directions)
        return Outputs(carries, (ys,), _sizes(directions))
    run_alone = lambda direction: _run(keep_gates, (direction,))  # noqa: E731
    turned = map(_turned, directions)
    (carries,), ys = jax.vmap(run_alone)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *turned))
    return Outputs(
        tuple(jax.tree.map(lambda leaf, i=i: leaf[i], carries) for i in range(len(directions))),
        tuple(turn(y, direction.reverse) for y, direction in zip(ys, directions, strict=True)),
    )


def _are_alike(directions: Directions) -> bool:
    shapes = [jax.tree.map(jnp.shape, _turned(direction)) for direction in directions]
    return shapes[1:] == shapes[:-1]


def _turned(direction: Direction) -> Direction:
    """The same work from the first step to the last; directions of one rule then look alike."""
    xs, valid = (
        None if leaf is None else turn(leaf, direction.reverse)
        for leaf in (direction.xs, direction.valid)
    )
    cell = direction.cell._replace(init=direction.cell.step)  # whatever they begin from
    return direction.replace(cell=cell, reverse=False, xs=xs, valid=valid)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _run(keep_gates: bool, directions: Directions) -> Results:
    del keep_gates
    if not are_apart(directions[0].carry):
        return loop(directions, store_nothing)[0]
    alone = [loop((direction,), store_nothing)[0] for direction in directions]
    carries, ys = zip(*alone, strict=True)
    return tuple(carry for (carry,) in carries), jnp.concatenate(ys, axis=-1)


@functools.partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(keep_gates: bool, primals: Any, tangents: Any) -> Any:
    (directions,), (d_directions,) = primals, tangents
    results, residuals = loop(directions, make_store(directions, keep_gates))
    return results, tangent(directions, results[1], residuals, d_directions)


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


def tangent(
    directions: Directions,
    ys: jax.Array,
    residuals: tuple[StepResiduals, ...],
    d_directions: Directions,
    linear_loop: LinearLoop = scan_linear,
    in_chunks: bool = True,
) -> Results:
    """The derivative of the results, in `d_directions`, whose zeros are symbolic."""
    parts = layer_tangent(directions, ys, residuals, d_directions, linear_loop, in_chunks)
    d_carries, d_hs = zip(*parts, strict=True)
    d_ys = [
        to_time(d_h, direction.valid, direction.reverse)
        for d_h, direction in zip(d_hs, directions, strict=True)
    ]
    return d_carries, jnp.concatenate(d_ys, axis=-1)


def _has_h_in_ys(direction: Direction) -> bool:
    """Whether the h before a step is the output of the step before, in its own dtype."""
    has_steps = direction.xs.shape[1] > 0
    same_dtype = direction.params.w_h.dtype == direction.carry.h.dtype
    return has_steps and direction.valid is None and same_dtype


def loop(
    directions: Directions, store: Callable[[Any, Any, Any], Any]
) -> tuple[Results, tuple[Any, ...]]:
    """Results, and what `store(activations, old carry, new carry)` stores of every step.

    It is `[T, B, ...]`, in the order of the direction. All directions advance in one loop:
    their chains are independent work inside a step. Each reads and writes where its step stands,
    so that nothing is turned or put side by side in memory.
    """
    rule = get_rule(directions)
    if directions[0].xs.shape[1] == 0:  # a loop that never runs is traced, and slices, all the same
        (_, ys), stored = loop(tuple(map(_with_a_step, directions)), store)
        carries = tuple(direction.carry for direction in directions)
        return (carries, ys[:, :0]), jax.tree.map(lambda leaf: leaf[:0], stored)
    sizes = _sizes(directions)
    batch_size, num_steps, _ = directions[0].xs.shape
    ys = jnp.zeros([batch_size, num_steps, sum(sizes)], directions[0].params.w_h.dtype)
    ys, _ = vary((ys, directions))
    plan = get_plan()
    weights = [rule.pack(direction.params) for direction in directions]
    if plan.hoisted:
        directions = tuple(
            direction.replace(xs=rule.project(w, clear(direction.xs, direction.valid)))
            for w, direction in zip(weights, directions, strict=True)
        )
    step = functools.partial(_step, rule, rule.finish if plan.hoisted else rule.activate)
    offsets = tuple(itertools.accumulate(sizes, initial=0))[:-1]

    def body(state, index):
        carries, ys = state
        new_carries, stored = [], []
        for w, old, direction, offset in zip(weights, carries, directions, offsets, strict=True):
            time = num_steps - 1 - index if direction.reverse else index
            x = _at(direction.xs, time)
            valid = None if direction.valid is None else _at(direction.valid, time)
            activations, new = step(w, old, clear(x, valid), valid)
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


def _sizes(directions: Directions) -> tuple[int, ...]:
    return tuple(direction.carry.h.shape[-1] for direction in directions)


def _at(leaf: jax.Array, time: jax.Array) -> jax.Array:
    """One step of `[B, T, ...]`."""
    return jax.lax.dynamic_index_in_dim(leaf, time, 1, False, allow_negative_indices=False)


def _with_a_step(direction: Direction) -> Direction:
    def add(leaf: jax.Array | None) -> jax.Array | None:
        return None if leaf is None else jnp.zeros([len(leaf), 1, *leaf.shape[2:]], leaf.dtype)

    return direction.replace(xs=add(direction.xs), valid=add(direction.valid))


def _step(
    rule: CellRule, activate: Any, weights: Any, carry: Any, x: jax.Array, valid: jax.Array | None
) -> tuple[Any, Any]:
    activations = activate(weights, x, carry.h)
    new = rule.update(activations, carry)
    if valid is not None:
        new = jax.tree.map(lambda new, old: jnp.where(valid[:, None], new, old), new, carry)
    return activations, new
