"""Cells whose units see their own state only, over all of time at once: Newton iterations.

The states s[1..T] of a row are the solution of s[t] - step(s[t-1], x[t]) = 0 for all t. An
iteration linearises every step at the states at hand and solves

    d[t] = J[t] d[t-1] + (step(s[t-1], x[t]) - s[t])        J[t] = step'(s[t-1], x[t])

for all corrections d at once, by an associative scan: J[t] is a number, or a small matrix, for each
unit. With every iteration one more step at least is exact, so that T of them always suffice; a few
do, where steps do not amplify.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..._core.meshes import vary
from ..._core.types import Carry


class Solution(NamedTuple):
    """The states of a row, and how they were found."""

    states: Carry  # leaves [T, H], after each step
    iterations: jax.Array  # [] int32
    residual: jax.Array  # [], the largest |s[t] - step(s[t-1], x[t])| that was left


Move = Callable[[Any, Carry, Any], tuple[Carry, jax.Array]]
"""`(shared, state, step) -> (state, y)`: one step, of which padding keeps the state."""


def scan_by_newton(move: Move, shared: Any, carry: Carry, steps: Any) -> tuple[Carry, jax.Array]:
    """As `jax.lax.scan` of `move` over `steps`, leaves `[T, ...]`: last state and all outputs."""
    solution = solve(move, shared, carry, steps)
    states, ys = _move_all(move, shared, _before(carry, solution.states), steps)
    last = jax.tree.map(lambda first, leaf: leaf[-1] if len(leaf) else first, carry, states)
    return last, ys


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def solve(move: Move, shared: Any, carry: Carry, steps: Any) -> Solution:
    """The states after all steps."""
    num_steps = len(jax.tree.leaves(steps)[0])

    def evaluate(states: Carry) -> tuple[Any, jax.Array, Carry, jax.Array, jax.Array]:
        before = _before(carry, states)
        new, jacobian = _linearise(move, shared, before, steps)
        error = jax.tree.map(jnp.subtract, new, states)
        size = _largest(states)
        limit = 16 * jnp.finfo(size.dtype).eps * (1 + size)
        return new, jacobian, error, _largest(error), limit

    def is_open(loop: Any) -> jax.Array:
        _, count, (*_, residual, limit) = loop
        # A residual that is not a number is open, too.
        return (count < num_steps) & ~(residual <= limit)

    def improve(loop: Any) -> Any:
        states, count, (new, jacobian, error, *_) = loop
        corrections = _scan_linear(jacobian, error)
        corrected = jax.tree.map(jnp.add, states, corrections)
        states = jax.tree.map(
            lambda a, b: jnp.where(jnp.isfinite(a), a, b), corrected, new
        )  # where it overflows, one step as usual
        return states, count + 1, evaluate(states)

    # As if the carry stood before every step.
    everywhere = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (num_steps, *leaf.shape)), carry)
    states, _ = _move_all(move, shared, everywhere, steps)
    begin = (states, jnp.int32(0), evaluate(states))
    states, count, (*_, residual, _) = jax.lax.while_loop(is_open, improve, vary(begin))
    return Solution(states, count, residual)


@solve.defjvp
def _solve_jvp(move: Move, primals: Any, tangents: Any) -> tuple[Solution, Solution]:
    """The derivative of a solution is a linear scan with the Jacobians that stand there."""
    (shared, carry, steps), (d_shared, d_carry, d_steps) = primals, tangents
    solution = solve(move, shared, carry, steps)
    before = _before(carry, solution.states)
    _, jacobian = _linearise(move, shared, before, steps)
    _, d_new = jax.jvp(
        lambda shared, steps: _move_all(move, shared, before, steps)[0],
        (shared, steps),
        (d_shared, d_steps),
    )
    d_states = _scan_linear(jacobian, d_new, d_carry)
    no_tangent: Any = np.zeros((), jax.dtypes.float0)  # of an integer
    zeros = Solution(d_states, no_tangent, jnp.zeros_like(solution.residual))
    return solution, zeros


def _move_all(move: Move, shared: Any, before: Carry, steps: Any) -> tuple[Carry, jax.Array]:
    """Every step by itself, from the state before it."""
    return jax.vmap(move, in_axes=(None, 0, 0))(shared, before, steps)


def _before(carry: Carry, states: Carry) -> Carry:
    return jax.tree.map(
        lambda first, leaf: jnp.concatenate([first[None], leaf[:-1]])[: len(leaf)], carry, states
    )


def _linearise(move: Move, shared: Any, before: Carry, steps: Any) -> tuple[Carry, jax.Array]:
    """All new states, and `[T, L, L, H]`: the derivative of leaf i by leaf j, unit by unit."""
    leaves, structure = jax.tree.flatten(before)
    new, push = jax.linearize(lambda before: _move_all(move, shared, before, steps)[0], before)
    columns = []
    for index in range(len(leaves)):
        unit = [jnp.full_like(leaf, index == j) for j, leaf in enumerate(leaves)]
        columns.append(_stack(push(structure.unflatten(unit))))
    return new, jnp.stack(columns, axis=2)


def _stack(tree: Any) -> jax.Array:
    """Leaves `[..., H]` as `[..., L, H]`."""
    return jnp.stack(jax.tree.leaves(tree), axis=-2)


def _scan_linear(jacobian: jax.Array, added: Carry, first: Carry | None = None) -> Carry:
    """d[t] = J[t] d[t-1] + added[t], from `first`, or from zero."""
    leaves, structure = jax.tree.flatten(added)
    b = _stack(added)
    if not len(b):
        return added
    if first is not None:
        b = b.at[0].add((jacobian[0] * _stack(first)[None]).sum(axis=1))
    _, d = jax.lax.associative_scan(_compose, (jacobian, b))
    return structure.unflatten([d[:, index] for index in range(len(leaves))])


def _compose(earlier: Any, later: Any) -> Any:
    """Of maps d -> J d + b of every unit, one after the other."""
    (j1, b1), (j2, b2) = earlier, later
    product = (j2[:, :, :, None] * j1[:, None]).sum(axis=2)
    return product, (j2 * b1[:, None]).sum(axis=2) + b2


def _largest(tree: Any) -> jax.Array:
    return jnp.stack([jnp.abs(leaf).max(initial=0) for leaf in jax.tree.leaves(tree)]).max()
