"""The recurrent cell of BRITS: it estimates each step before it reads it, and reads its estimates.

With x what was observed at a step, m where (1) and where not (0), and d the steps since each
feature was last observed, one direction of time computes

    g      = exp(-relu(d w_g + b_g))            how much of the state is left after a gap
    h      = h[t-1] * g
    past   = h w_p + b_p                        an estimate from the history
    x'     = m x + (1 - m) past
    others = x' (w_o with a zero diagonal) + b_o        each feature from the others of this step
    k      = sigmoid([exp(-relu(d * w_d + b_d)), m] w_k + b_k)
    mixed  = k others + (1 - k) past
    h, c   = LSTM((h, c), [m x + (1 - m) mixed, m])

The cell follows the protocol of `birnn_jax.Cell`, so that `birnn_jax.bidirectional` runs it over
both directions of time; d is kept in the carry, each direction counting its own gaps.

References:
  Cao et al., BRITS: Bidirectional Recurrent Imputation for Time Series, 2018.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from birnn_jax import LSTM, Cell
from birnn_jax.cells import LSTMCarry, LSTMParams
from birnn_jax.stacks import AffineParams


class BRITSParams(NamedTuple):
    """Parameters of `BRITS` for D features and H hidden units."""

    forget: AffineParams  # [D, H], the gap of each feature to what is left of the state
    past: AffineParams  # [H, D]
    others: AffineParams  # [D, D], the diagonal is not used
    fade: AffineParams  # w and b [D]
    mix: AffineParams  # [2D, D]
    lstm: LSTMParams


class BRITSCarry(NamedTuple):
    """Carry of `BRITS`."""

    h: jax.Array  # [H]
    c: jax.Array  # [H]
    gap: jax.Array  # [D], steps from the last observation to the next step; 0 before the first


class Estimates(NamedTuple):
    """Outputs of `BRITS`: what it takes each feature to be before it reads it, leaves `[D]`."""

    past: jax.Array
    others: jax.Array
    mixed: jax.Array


def _init(key: jax.Array, input_size: int, hidden_size: int) -> BRITSParams:
    if input_size % 2:
        raise ValueError(
            f"input_size must be even, D values and D marks of where they are, got {input_size}."
        )
    size = input_size // 2
    keys = jax.random.split(key, 6)
    return BRITSParams(
        forget=_affine(keys[0], size, hidden_size),
        past=_affine(keys[1], hidden_size, size),
        others=_affine(keys[2], size, size),
        fade=AffineParams(w=_uniform(keys[3], [size], size), b=jnp.zeros(size)),
        mix=_affine(keys[4], 2 * size, size),
        lstm=LSTM.init(keys[5], 2 * size, hidden_size),
    )


def _affine(key: jax.Array, size: int, outputs: int) -> AffineParams:
    return AffineParams(w=_uniform(key, [size, outputs], size), b=jnp.zeros(outputs))


def _uniform(key: jax.Array, shape: list[int], size: int) -> jax.Array:
    """Within 1 / sqrt(size), as in the authors' program."""
    return jax.random.uniform(key, shape, minval=-(size**-0.5), maxval=size**-0.5)


def _init_carry(params: BRITSParams) -> BRITSCarry:
    state = LSTM.init_carry(params.lstm)
    return BRITSCarry(h=state.h, c=state.c, gap=jnp.zeros_like(params.fade.b))


def _step(params: BRITSParams, carry: BRITSCarry, x: jax.Array) -> tuple[BRITSCarry, Any]:
    value, seen = jnp.split(x, 2)
    h = carry.h * _left(carry.gap @ params.forget.w + params.forget.b)
    past = h @ params.past.w + params.past.b
    complete = jnp.where(seen > 0, value, past)
    from_others = params.others.w * (1 - jnp.eye(len(value)))
    others = complete @ from_others + params.others.b
    faded = _left(carry.gap * params.fade.w + params.fade.b)
    share = jax.nn.sigmoid(jnp.concatenate([faded, seen]) @ params.mix.w + params.mix.b)
    mixed = share * others + (1 - share) * past
    complete = jnp.where(seen > 0, value, mixed)
    state, _ = LSTM.step(params.lstm, LSTMCarry(h=h, c=carry.c), jnp.concatenate([complete, seen]))
    gap = 1 + (1 - seen) * carry.gap
    return BRITSCarry(h=state.h, c=state.c, gap=gap), Estimates(past, others, mixed)


def _left(a: jax.Array) -> jax.Array:
    return jnp.exp(-jax.nn.relu(a))


BRITS = Cell(_init, _init_carry, _step)
