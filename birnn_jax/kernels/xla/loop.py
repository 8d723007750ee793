"""One layer, of one direction or two, with a derivative that keeps weights out of the loop.

`lax.scan` differentiates itself by adding to the gradient of the weights at every step. Here the
derivative is given, as a linear recurrence (`_tangent`) which JAX transposes by itself: forward
mode, reverse mode, their compositions and `vmap` all work, which `jax.custom_vjp` would not allow.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..cpu.operation import vary_alike
from .cell_rule import Form
from .derivative import Kept, layer_tangent
from .order import Outputs, Sequences, clear, to_time, turn
from .plan import are_apart, get_plan

Results = tuple[tuple[Any, ...], jax.Array]  # carries, and ys of all directions [B, T, .]


def run_by_xla(
    form: Form, keep_gates: bool, reverse: tuple[bool, ...], sequences: tuple[Sequences, ...]
) -> Outputs:
    """Runs every direction by the loops of XLA.

    With `keep_gates` the gradient finds the activations of every step, otherwise it computes them
    again from the states, in one product. Carries, activations and the derivative are of the
    `sum_dtype` of params and xs, outputs of their own dtype.
    """
    leaves, tree = jax.tree.flatten(sequences)
    sequences = tree.unflatten(vary_alike(leaves))
    shapes = [jax.tree.map(jnp.shape, one) for one in sequences]
    if not get_plan().stacked or shapes[1:] != shapes[:-1]:
        carries, ys = _run(form, keep_gates, reverse, sequences)
        return Outputs(carries, (ys,), _sizes(sequences))
    run_one = lambda one: _run(form, keep_gates, (False,), (one,))  # noqa: E731
    turned = map(_turn, sequences, reverse)
    (carries,), ys = jax.vmap(run_one)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *turned))
    return Outputs(
        tuple(jax.tree.map(lambda leaf, i=i: leaf[i], carries) for i in range(len(reverse))),
        tuple(map(turn, ys, reverse)),
    )


def _turn(one: Sequences, reverse: bool) -> Sequences:
    xs, valid = (None if leaf is None else turn(leaf, reverse) for leaf in (one.xs, one.valid))
    return one._replace(xs=xs, valid=valid)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _run(
    form: Form, keep_gates: bool, reverse: tuple[bool, ...], sequences: tuple[Sequences, ...]
) -> Results:
    del keep_gates
    keep_nothing = lambda activations, old, new: None  # noqa: E731
    if not are_apart(sequences[0].carry):
        return loop(form, reverse, sequences, keep_nothing)[0]
    alone = [
        loop(form, (back,), (one,), keep_nothing)[0]
        for one, back in zip(sequences, reverse, strict=True)
    ]
    carries, ys = zip(*alone, strict=True)
    return tuple(carry for (carry,) in carries), jnp.concatenate(ys, axis=-1)


@functools.partial(_run.defjvp, symbolic_zeros=True)
def _run_jvp(
    form: Form, keep_gates: bool, reverse: tuple[bool, ...], primals: Any, tangents: Any
) -> Any:
    (sequences,), (d_sequences,) = primals, tangents
    in_ys = all(map(_has_h_in_ys, sequences))

    def keep(activations, old, new):
        del new
        return Kept(old._replace(h=None) if in_ys else old, activations if keep_gates else None)

    results, kept = loop(form, reverse, sequences, keep)
    tangent = layer_tangent(form, reverse, sequences, results[1], kept, d_sequences)
    d_carries, d_hs = zip(*tangent, strict=True)
    d_ys = [
        to_time(d_h, one.valid, back)
        for d_h, one, back in zip(d_hs, sequences, reverse, strict=True)
    ]
    return results, (d_carries, jnp.concatenate(d_ys, axis=-1))


def _has_h_in_ys(one: Sequences) -> bool:
    """Whether the h before a step is the output of the step before, in its own dtype."""
    has_steps = one.xs.shape[1] > 0
    return has_steps and one.valid is None and one.params.w_h.dtype == one.carry.h.dtype


def loop(
    form: Form,
    reverse: tuple[bool, ...],
    sequences: tuple[Sequences, ...],
    keep: Callable[[Any, Any, Any], Any],
) -> tuple[Results, tuple[Any, ...]]:
    """Results, and what `keep(activations, old carry, new carry)` keeps of every step.

    What is kept is `[T, B, ...]` in the order of the visit. All directions advance in one loop:
    their chains are independent work inside a step. Each reads and writes where its step stands,
    so that nothing is turned or put side by side in memory.
    """
    if sequences[0].xs.shape[1] == 0:  # a loop that never runs is traced, and slices, all the same
        (_, ys), kept = loop(form, reverse, tuple(map(_with_a_step, sequences)), keep)
        carries = tuple(one.carry for one in sequences)
        return (carries, ys[:, :0]), jax.tree.map(lambda leaf: leaf[:0], kept)
    sizes = _sizes(sequences)
    batch_size, num_steps, _ = sequences[0].xs.shape
    ys = jnp.zeros([batch_size, num_steps, sum(sizes)], sequences[0].params.w_h.dtype)
    ys, *_ = vary_alike([ys, *jax.tree.leaves(sequences)])
    plan = get_plan()
    weights = [form.pack(one.params) for one in sequences]
    if plan.hoisted:
        sequences = tuple(
            one._replace(xs=form.project(w, clear(one.xs, one.valid)))
            for w, one in zip(weights, sequences, strict=True)
        )
    step = functools.partial(_step, form, form.finish if plan.hoisted else form.activate)
    offsets = itertools.accumulate(sizes, initial=0)
    places = tuple(zip(reverse, offsets, strict=False))

    def body(state, index):
        carries, ys = state
        new_carries, kept = [], []
        for w, old, one, (back, offset) in zip(weights, carries, sequences, places, strict=True):
            time = num_steps - 1 - index if back else index
            x, valid = _at(one.xs, time), None if one.valid is None else _at(one.valid, time)
            activations, new = step(w, old, clear(x, valid), valid)
            y = clear(new.h, valid).astype(ys.dtype)[:, None]
            ys = jax.lax.dynamic_update_slice(
                ys, y, (0, time, offset), allow_negative_indices=False
            )
            new_carries.append(new)
            kept.append(keep(activations, old, new))
        return (tuple(new_carries), ys), tuple(kept)

    carries = tuple(one.carry for one in sequences)
    steps = jnp.arange(num_steps)
    return jax.lax.scan(body, (carries, ys), steps, unroll=plan.unroll)


def _sizes(sequences: tuple[Sequences, ...]) -> tuple[int, ...]:
    return tuple(one.carry.h.shape[-1] for one in sequences)


def _at(leaf: jax.Array, time: jax.Array) -> jax.Array:
    """One step of `[B, T, ...]`."""
    return jax.lax.dynamic_index_in_dim(leaf, time, 1, False, allow_negative_indices=False)


def _with_a_step(one: Sequences) -> Sequences:
    def add(leaf: jax.Array | None) -> jax.Array | None:
        return None if leaf is None else jnp.zeros([len(leaf), 1, *leaf.shape[2:]], leaf.dtype)

    return one._replace(xs=add(one.xs), valid=add(one.valid))


def _step(
    form: Form, activate: Any, weights: Any, carry: Any, x: jax.Array, valid: jax.Array | None
) -> tuple[Any, Any]:
    activations = activate(weights, x, carry.h)
    new = form.update(activations, carry)
    if valid is not None:
        new = jax.tree.map(lambda new, old: jnp.where(valid[:, None], new, old), new, carry)
    return activations, new
