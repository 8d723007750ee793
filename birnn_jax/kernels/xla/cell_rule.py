"""A cell rule: the step of a cell in parts, those that wait for the step before and the others.

With u = h[t-1] w_h, the only product that must wait for the step before, a cell is

    activations = activate(x, h)          two projections and the nonlinearities
    carry       = update(activations, carry)

where the projection of the input may be done before, activate(x, h) = finish(project(x), h), and
the product with the state by others, finish(a_x, h) = combine(a_x, h w_h + b_h),

and its derivative is a linear recurrence in the tangents of the carry, whose coefficients are
functions of the activations alone, known for all steps at once:

    d_carry[t] = advance(coefficients[t], d_carry[t-1], d_h[t-1] w_h) with d_in[t] added
    d_in       = inject(coefficients, d_a_x, d_a_h)

where d_a_x = d(x w_x + b) at constant h, and d_a_h = h d(w_h) + d(b_hn), of all steps at once.
The transpose of this is back-propagation through time with every weight gradient outside the loop.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax


class CellRule(NamedTuple):
    """The parts of a step. Leading axes are free: a single step or all steps."""

    pack: Callable[[Any], Any]  # params -> weights, once a call
    project: Callable[[Any, jax.Array], jax.Array]  # (weights, x) -> a_x
    finish: Callable[[Any, jax.Array, jax.Array], Any]  # (weights, a_x, h) -> activations
    activate: Callable[[Any, jax.Array, jax.Array], Any]  # (weights, x, h) -> activations
    # (weights of one head, H) -> w_h `[H, G*H]` and the bias of h w_h, `[G*H]` or None
    recurrent: Callable[[Any, int], tuple[jax.Array, jax.Array | None]]
    combine: Callable[[jax.Array, jax.Array], Any]  # (a_x, a_h) -> activations
    update: Callable[[Any, Any], Any]  # (activations, carry) -> carry
    coefficients: Callable[[Any, Any], Any]  # (activations, carry before) -> coefficients
    inject: Callable[[Any, jax.Array, jax.Array], Any]  # (coefficients, d_a_x, d_a_h) -> d_in
    advance: Callable[[Any, Any, jax.Array, Any], Any]  # (coefficients, d_carry, d_u, d_in)
