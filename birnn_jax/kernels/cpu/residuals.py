"""What the forward pass of the native kernels stores for their backward pass."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ...cells._noise import remove_noise
from ..moving import state_of
from ..reference import loop as reference
from ..xla.time_order import clear
from .carries import cell_state_of, cell_state_size
from .cells import native_cell, plain_step, rates_of
from .noise import draw_noise

Directions = tuple[Direction, ...]


class Residuals(NamedTuple):
    """Of a direction, beside its outputs; None is not stored. Zero where a step is not valid."""

    cs: Any  # [B, T, H], of cells with a cell state, of the sLSTM [B, T, 3H]
    gates: Any  # [B, T, S*H], see `src/cells.h`


def shapes_of_residuals(directions: Directions, keep_gates: bool) -> tuple[Residuals, ...]:
    """Of each direction."""
    cell = native_cell(directions)

    def of_direction(direction: Direction) -> Residuals:
        batch_size, num_steps, _ = direction.xs.shape
        state = state_of(direction)
        size = getattr(state, "c", state.h).shape[-1]
        cs, gates = (
            jax.ShapeDtypeStruct((batch_size, num_steps, columns), state.h.dtype)
            for columns in (cell_state_size(state), cell.num_stored * size)
        )
        in_outputs = cell.in_outputs and rates_of(direction.cell).zoneout_h == 0
        stores = keep_gates and cell.num_stored > 0 and not in_outputs
        return Residuals(cs if cell.has_c else None, gates if stores else None)

    return tuple(map(of_direction, directions))


def compute_residuals(directions: Directions, keep_gates: bool) -> tuple[Residuals, ...]:
    """As the native code stores them, by the definition."""
    shapes = shapes_of_residuals(directions, keep_gates)
    return tuple(map(_compute_residuals, directions, shapes))


def _compute_residuals(direction: Direction, shapes: Residuals) -> Residuals:
    cell = direction.cell

    def step(params: Any, carry: Any, x: jax.Array) -> Any:
        new, _ = cell.step(params, carry, x)
        return new, (remove_noise(carry), remove_noise(new))

    watched = direction.replace(cell=cell._replace(step=step))
    before, after = reference.run((watched,), True).parts[0]
    noise = draw_noise(direction)
    if noise.seen is not None:
        before = before._replace(h=before.h * noise.seen[:, None])

    def of_step(state: Any, x: jax.Array) -> jax.Array:
        stored = native_cell((direction,)).stored
        return jnp.concatenate(stored(plain_step(cell), direction.params, state, x))

    gates = None
    if shapes.gates is not None:
        gates = jax.vmap(jax.vmap(of_step))(before, clear(direction.xs, direction.valid))
        gates = clear(gates, direction.valid)
    return Residuals(cell_state_of(after), gates)
