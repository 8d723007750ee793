"""Steps that hand a carry on to the next step, such as the state at the end of a window of text.

    loss_fn(params, batch, key, carry) -> (totals, carry)

No gradient goes back through the carry: it stands in the state of the training beside the
parameters, not among them. So it is in every checkpoint too.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import optax
from jax.sharding import Mesh

from birnn_jax import Total, TrainState, make_train_step

CarriedLossFn = Callable[[Any, Any, jax.Array | None, Any], tuple[Mapping[str, Total], Any]]


class CarriedState(NamedTuple):
    """All that a training step with a carry changes: a `TrainState`, and the carry."""

    step: jax.Array  # [] int32, steps done
    params: Any
    opt_state: optax.OptState
    carry: Any


def make_carried_train_step(
    loss_fn: CarriedLossFn,
    optimizer: optax.GradientTransformation,
    *,
    mesh: Mesh | None = None,
    accumulation_steps: int = 1,
    compiler_options: Mapping[str, Any] | None = None,
) -> Callable[[CarriedState, Any, jax.Array], tuple[CarriedState, dict[str, Any]]]:
    """Makes the function that trains by one batch: `birnn_jax.make_train_step` with a carry.

    The carry has the rows of the batch, and lies where they lie.
    """

    def with_carry(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        batch, carry = batch
        totals, carry = loss_fn(params, batch, key, carry)
        return {**totals, _CARRY: carry}

    step = make_train_step(with_carry, optimizer, mesh=mesh, accumulation_steps=accumulation_steps)

    @functools.partial(
        jax.jit, donate_argnames="state", compiler_options=dict(compiler_options or {}) or None
    )
    def train_step(state: CarriedState, batch: Any, key: jax.Array) -> tuple[CarriedState, Any]:
        without = TrainState(state.step, state.params, state.opt_state)
        new, metrics = step(without, (batch, state.carry), key)
        return CarriedState(*new, metrics.pop(_CARRY)), metrics

    return train_step


def make_carried_eval_step(
    loss_fn: CarriedLossFn, carry: Any, *, compiler_options: Mapping[str, Any] | None = None
) -> Callable[[Any, Any], Any]:
    """Makes the function that evaluates one batch of minibatches in order, leaves `[N, ...]`.

    `carry` stands before the first of them.
    """

    @functools.partial(jax.jit, compiler_options=dict(compiler_options or {}) or None)
    def eval_step(params: Any, batches: Any) -> dict[str, Total]:
        def body(carry: Any, batch: Any) -> tuple[Any, Mapping[str, Total]]:
            totals, carry = loss_fn(params, batch, None, carry)
            return carry, totals

        _, totals = jax.lax.scan(body, carry, batches)
        return jax.tree.map(lambda leaf: leaf.sum(axis=0), totals)

    return eval_step


_CARRY = "carry"
