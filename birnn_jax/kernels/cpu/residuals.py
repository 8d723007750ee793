"""What the forward pass of the native kernels stores for their backward pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..xla.cell_rule import CellRule
from ..xla.elman import ELMAN_RULE
from ..xla.gates import gate_of_tanh
from ..xla.gru import GRU_RULE
from ..xla.loop import loop
from ..xla.lstm import LSTM_RULE
from ..xla.rules import get_rule
from ..xla.time_order import to_time

Directions = tuple[Direction, ...]


class Residuals(NamedTuple):
    """Of a direction, beside its outputs; None is not stored. Zero where a step is not valid."""

    cs: Any  # [B, T, H], of the LSTM
    gates: Any  # [B, T, 4H]: i, f, g, o of the LSTM; r, z, n, h w_hn + b_hn of the GRU


class NativeCell(NamedTuple):
    """What the native code has of a cell; the names are those of its functions."""

    name: str
    residuals: Callable[[Any, Any], Residuals]  # (activations, carry after the step)
    has_cs: bool
    has_gates: bool


def _of_elman(activations: jax.Array, carry: Any) -> Residuals:
    del activations, carry
    return Residuals(cs=None, gates=None)


def _of_gru(activations: Any, carry: Any) -> Residuals:
    del carry
    gates = [gate_of_tanh(activations.tanh_rz), activations.n, activations.h_n]
    return Residuals(cs=None, gates=jnp.concatenate(gates, axis=-1))


def _of_lstm(activations: jax.Array, carry: Any) -> Residuals:
    i, f, g, o = jnp.split(activations, 4, axis=-1)
    gates = [gate_of_tanh(i), gate_of_tanh(f), g, gate_of_tanh(o)]
    return Residuals(cs=carry.c, gates=jnp.concatenate(gates, axis=-1))


_CELLS: dict[CellRule, NativeCell] = {
    ELMAN_RULE: NativeCell("elman", _of_elman, has_cs=False, has_gates=False),
    GRU_RULE: NativeCell("gru", _of_gru, has_cs=False, has_gates=True),
    LSTM_RULE: NativeCell("lstm", _of_lstm, has_cs=True, has_gates=True),
}


def native_cell(directions: Directions) -> NativeCell:
    """That of all directions of a layer."""
    return _CELLS[get_rule(directions)]


def shapes_of_residuals(directions: Directions, keep_gates: bool) -> tuple[Residuals, ...]:
    """Of each direction."""
    cell = native_cell(directions)

    def of_direction(direction: Direction) -> Residuals:
        (batch_size, num_steps, _), hidden_size = direction.xs.shape, direction.carry.h.shape[-1]
        cs, gates = (
            jax.ShapeDtypeStruct((batch_size, num_steps, size), jnp.float32)
            for size in (hidden_size, 4 * hidden_size)
        )
        has_gates = cell.has_gates and keep_gates
        return Residuals(cs if cell.has_cs else None, gates if has_gates else None)

    return tuple(map(of_direction, directions))


def compute_residuals(directions: Directions, keep_gates: bool) -> tuple[Residuals, ...]:
    """As the native code stores them, by XLA."""
    compute = native_cell(directions).residuals
    _, stored = loop(directions, lambda activations, old, new: compute(activations, new))
    stored = tuple(leaves if keep_gates else leaves._replace(gates=None) for leaves in stored)
    return tuple(
        jax.tree.map(lambda leaf, d=direction: to_time(leaf, d.valid, d.reverse), leaves)
        for leaves, direction in zip(stored, directions, strict=True)
    )
