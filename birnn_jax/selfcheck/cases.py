"""Random settings of a layer, and what they mean in loops."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._core.masks import Lengths, Mask, Segments
from .._core.types import Carry, Cell, Params
from ..cells import candidate_dropout, recurrent_dropout, zoneout
from ..cells._gated import GatedStep
from ..cells._linear import is_parallel
from .loops import Draw

Draws = Callable[[np.ndarray, np.ndarray], Draw] | None
RATES = (0.0, 0.2, 0.45)


class Settings(NamedTuple):
    """Which steps are valid and what is drawn, as the library and as the loops take it."""

    cell: Cell
    lengths: Lengths
    ids: np.ndarray  # [B, T], segments; 0 where a step is not valid
    key: jax.Array | None
    draws: tuple[Draws, Draws]  # of both directions


class _Rates(NamedTuple):
    recurrent: float
    candidate: float
    zoneout_c: float
    zoneout_h: float


def draw_settings(
    cell: Cell,
    params: Params,
    carry: Carry,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    everything: bool,
) -> Settings:
    """Lengths, gaps or segments, some of them empty, and in half of the cases noise."""
    lengths, ids = _draw_ids(
        shape[0], shape[1], rng, kind=2 if everything else int(rng.integers(3))
    )
    if rng.random() < 0.5 and not everything:
        return Settings(cell, lengths, ids, None, (None, None))

    def draw_rate(makes_sense: bool) -> float:
        return float(rng.choice(RATES[1:] if everything else RATES)) if makes_sense else 0.0

    rates = _Rates(
        recurrent=draw_rate(isinstance(cell.step, GatedStep)),
        candidate=draw_rate(_has_candidate(cell, params)),
        zoneout_c=draw_rate(hasattr(carry, "c")),
        zoneout_h=draw_rate(True),
    )
    if is_parallel(cell.step):  # has no steps to draw noise for
        return Settings(cell, lengths, ids, None, (None, None))
    noisy = zoneout(cell, h=rates.zoneout_h, c=rates.zoneout_c)
    if rates.recurrent:
        noisy = recurrent_dropout(noisy, rates.recurrent)
    if rates.candidate:
        noisy = candidate_dropout(noisy, rates.candidate)
    if rng.random() < 0.25 and not everything:  # evaluation
        draw = Draw(zoneout_c=rates.zoneout_c or None, zoneout_h=rates.zoneout_h or None)
        return Settings(noisy, lengths, ids, None, (lambda *_: draw, lambda *_: draw))
    key = jax.random.key(int(rng.integers(2**31)))
    draws = (_make_draws(rates, key, carry, shape, 0), _make_draws(rates, key, carry, shape, 1))
    return Settings(noisy, lengths, ids, key, draws)


def _draw_ids(
    batch_size: int, num_steps: int, rng: np.random.Generator, *, kind: int
) -> tuple[Lengths, np.ndarray]:
    empty = int(rng.integers(batch_size))
    if kind == 0:
        lengths = rng.integers(0, num_steps + 1, size=batch_size, dtype=np.int32)
        lengths[empty] = 0
        return lengths, (np.arange(num_steps) < lengths[:, None]).astype(np.int32)
    ids = (rng.random([batch_size, num_steps]) < 0.7).astype(np.int32)
    ids[empty] = 0
    if kind == 1:
        return Mask(ids != 0), ids
    ids *= 1 + np.cumsum(rng.random(ids.shape) < 0.3, axis=1, dtype=np.int32)
    return Segments(ids), ids


def _has_candidate(cell: Cell, params: Params) -> bool:
    """Whether the gates have a field g or n, as `candidate_dropout` needs it."""
    step = cell.step
    if not isinstance(step, GatedStep):
        return False
    x = jax.ShapeDtypeStruct(params.w_x.shape[:1], jnp.float32)
    gates = lambda params, x: step.gates(params, cell.init_carry(params), x)  # noqa: E731
    fields = jax.eval_shape(gates, params, x)
    return hasattr(fields, "g") or hasattr(fields, "n")


def _make_draws(
    rates: _Rates, key: jax.Array, carry: Carry, shape: tuple[int, ...], reverse: int
) -> Draws:
    """The noise that the documentation promises, drawn by `jax.random` number by number."""
    batch_size, num_steps, _ = shape
    states = carry.h.shape[-1]
    units = getattr(carry, "c", carry.h).shape[-1]
    rows = jnp.arange(batch_size)
    keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.fold_in(key, row), reverse))(rows)
    numbers = jnp.arange(num_steps + 1)

    def flags(site: int, probability: float, size: int) -> np.ndarray:
        def draw(key, number):
            key = jax.random.fold_in(jax.random.fold_in(key, number), site)
            return jax.random.bernoulli(key, probability, (size,))

        return np.asarray(jax.vmap(jax.vmap(draw, (None, 0)), (0, None))(keys, numbers))

    def of_row(key: jax.Array) -> jax.Array:
        return jax.random.bernoulli(jax.random.fold_in(key, 0), 1 - rates.recurrent, (states,))

    seen = np.asarray(jax.vmap(of_row)(keys)) / (1 - rates.recurrent)
    candidate = flags(0, 1 - rates.candidate, units) / (1 - rates.candidate)
    zoneout_c = flags(1, rates.zoneout_c, units).astype(np.float64)
    zoneout_h = flags(2, rates.zoneout_h, states).astype(np.float64)

    def draw(rows: np.ndarray, numbers: np.ndarray) -> Draw:
        def at(rate: float, values: Any) -> Any:
            return values[rows, numbers] if rate else None

        return Draw(
            seen=seen[rows] if rates.recurrent else None,
            candidate=at(rates.candidate, candidate),
            zoneout_c=at(rates.zoneout_c, zoneout_c),
            zoneout_h=at(rates.zoneout_h, zoneout_h),
        )

    return draw
