"""The derivative of a layer: products over all steps, around a loop that sees no weight gradient.

The loop is cut into chunks of time whose intermediate arrays stay in cache. Each chunk is
recomputed when it is differentiated (`jax.checkpoint`), so that nothing is kept but what the
forward pass kept.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from ..._core.dtypes import widen
from .cell_rule import Form
from .order import Sequences, cut, to_visit
from .plan import chunk_steps, get_plan


class Kept(NamedTuple):
    """What the forward pass keeps of every step of one direction, in the order of the visit."""

    carry: Any  # before the step, leaves [T, B, H]; h is None where the outputs have it
    activations: Any  # None where they are to be computed again


class _Steps(NamedTuple):
    """Some steps of one direction, in the order of the visit."""

    xs: jax.Array  # [T, B, D], zero in padding
    mask: jax.Array | None  # [T, B, 1], True at valid steps
    kept: Kept
    d_xs: jax.Array | None  # [T, B, D]; None is zero


def layer_tangent(
    form: Form,
    reverse: tuple[bool, ...],
    sequences: tuple[Sequences, ...],
    ys: jax.Array,
    kept: tuple[Kept, ...],
    d_sequences: tuple[Sequences, ...],
) -> Any:
    """`(d_carry, d_hs)` for each direction, `d_hs` `[T, B, H]` in the order of the visit.

    `ys` are the outputs of all directions, side by side.
    """
    d_xs = tuple(
        None if isinstance(d.xs, SymbolicZero) else to_visit(d.xs, one.valid, back)
        for d, one, back in zip(d_sequences, sequences, reverse, strict=True)
    )
    d_carries = tuple(
        jax.tree.map(_instantiate, d.carry, one.carry)
        for d, one in zip(d_sequences, sequences, strict=True)
    )
    # Wide before the loop, so that it adds up their gradient in the wide dtype.
    d_params = tuple(widen(_none_if_zero(d.params)) for d in d_sequences)
    run = jax.checkpoint(
        functools.partial(_run_chunk, form, reverse), prevent_cse=False, static_argnums=0
    )
    num_steps, h = sequences[0].xs.shape[1], sequences[0].carry.h
    d_carries, d_hs = _over_chunks(
        lambda size, begin, d_carries, steps: run(
            size, begin, sequences, ys, d_params, d_carries, steps
        ),
        d_carries,
        tuple(zip(kept, d_xs, strict=True)),
        num_steps,
        chunk_steps(num_steps, h, kept[0].activations is not None),
    )
    return tuple(
        (d_carry, d_h.astype(one.xs.dtype))
        for one, d_carry, d_h in zip(sequences, d_carries, d_hs, strict=True)
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
        lambda carry, one: run(size, one[0], carry, one[1]), carry, (begins, whole)
    )
    ys = jax.tree.map(lambda leaf: leaf.reshape(count * size, *leaf.shape[2:]), ys)
    if rest:
        last = jax.tree.map(lambda leaf: leaf[count * size :], steps)
        carry, more = run(rest, count * size, carry, last)
        ys = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), ys, more)
    return carry, ys


def _cut_steps(
    one: Sequences,
    reverse: bool,
    ys: jax.Array,
    first_column: int,
    begin: Any,
    size: int,
    kept: Kept,
    d_xs: Any,
) -> _Steps:
    """The steps of one direction from `begin` on, whose outputs begin at that column of `ys`."""
    xs, mask = cut(one.xs, begin, size, reverse), None
    if one.valid is not None:
        mask = cut(one.valid[..., None], begin, size, reverse)
        xs = jnp.where(mask, xs, 0)
    if kept.carry.h is None:
        columns = (first_column, one.carry.h.shape[-1])
        before = cut(ys, jnp.maximum(begin - 1, 0), 1, reverse, *columns)
        first = jnp.where(begin == 0, one.carry.h, before)
        h = jnp.concatenate([first, cut(ys, begin, size, reverse, *columns)[:-1]])
        kept = kept._replace(carry=kept.carry._replace(h=h))
    return _Steps(xs, mask, kept, d_xs)


def _run_chunk(
    form: Form,
    reverse: tuple[bool, ...],
    size: int,
    begin: Any,
    sequences: tuple[Sequences, ...],
    ys: jax.Array,
    d_params: Any,
    d_carries: Any,
    steps: Any,
) -> Any:
    inputs, recurrent, offset = [], [], 0
    for primal, back, tangent, one in zip(sequences, reverse, d_params, steps, strict=True):
        chunk = _cut_steps(primal, back, ys, offset, begin, size, *one)
        offset += primal.carry.h.shape[-1]
        activations = chunk.kept.activations
        if activations is None:
            activations = form.activate(form.pack(primal.params), chunk.xs, chunk.kept.carry.h)
        coefficients = form.coefficients(activations, chunk.kept.carry)
        d_in = form.inject(coefficients, *_d_sums(widen(primal.params), tangent, widen(chunk)))
        inputs.append((coefficients, d_in, _broadcast_mask(chunk)))
        # Turned once, here: so the transpose finds its matrix in the order that is fast on CPU.
        recurrent.append(jax.lax.optimization_barrier(widen(primal.params.w_h).T))

    def body(d_carries, inputs):
        new = tuple(
            _advance(form, w_t, d_carry, *one)
            for w_t, d_carry, one in zip(recurrent, d_carries, inputs, strict=True)
        )
        return new, tuple(d_carry.h for d_carry in new)

    return jax.lax.scan(body, d_carries, tuple(inputs), unroll=get_plan().unroll)


def _advance(
    form: Form, w_t: jax.Array, d_carry: Any, coefficients: Any, d_in: Any, valid: Any
) -> Any:
    d_u = jax.lax.dot_general(d_carry.h, w_t, (((1,), (1,)), ((), ())))
    new = form.advance(coefficients, d_carry, d_u, d_in)
    if valid is None:
        return new
    return jax.tree.map(lambda new, old: jnp.where(valid, new, old), new, d_carry)


def _broadcast_mask(steps: _Steps) -> jax.Array | None:
    """`[T, B, H]`: what needs no carry, a broadcast too, JAX would take out as a second loop."""
    return None if steps.mask is None else jnp.broadcast_to(steps.mask, steps.kept.carry.h.shape)


def _d_sums(params: Any, d_params: Any, steps: _Steps) -> tuple[jax.Array, jax.Array]:
    """Derivatives of x w_x + b and of h w_h + b_hn at constant h, `[T, B, G*H]` each."""
    num_steps, batch_size, _ = steps.xs.shape
    hidden_size, size = params.w_h.shape
    d_a_x = d_a_h = jnp.zeros([batch_size * num_steps, size], steps.xs.dtype)
    if steps.d_xs is not None:
        d_a_x += _rows(steps.d_xs) @ params.w_x
    if d_params.w_x is not None:
        d_a_x += _times(steps.xs, d_params.w_x)
    if d_params.b is not None:
        d_a_x += d_params.b[None]
    if d_params.w_h is not None:
        d_a_h += _times(steps.kept.carry.h, d_params.w_h)
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
    mere transpose back into the product (benchmarks/README.md).
    """
    turned = jax.lax.optimization_barrier(_rows(xs).T)
    return jax.lax.dot_general(turned, d_w, (((0,), (0,)), ((), ())))


def _none_if_zero(tangents: Any) -> Any:
    return jax.tree.map(
        lambda leaf: None if isinstance(leaf, SymbolicZero) else leaf,
        tangents,
        is_leaf=lambda leaf: isinstance(leaf, SymbolicZero),
    )


def _instantiate(tangent: Any, primal: jax.Array) -> jax.Array:
    return jnp.zeros_like(primal) if isinstance(tangent, SymbolicZero) else tangent
