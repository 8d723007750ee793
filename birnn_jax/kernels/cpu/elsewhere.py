"""The native operations in a program for another platform: loops of XLA with the same residuals.

The forward loop stores the arrays that the native code stores, and the backward loop reads them. So
the residuals of a program are the same on every platform.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction, Outputs
from ...cells import ELMAN, GRU, LSTM, SLSTM
from ..moving import join_directions
from ..operation import Operands
from ..xla.derivative import StepResiduals
from ..xla.gates import gate_of_tanh
from ..xla.gru import GRUActivations
from ..xla.layer import BackwardStatic, compute_backward
from ..xla.loop import Results, run_loops, sizes_of
from ..xla.slstm import SLSTMActivations
from ..xla.time_order import at_of, clear, turn
from .carries import cell_state_of, with_cell_state
from .residuals import Residuals, shapes_of_residuals

Directions = tuple[Direction, ...]


class _Gates(NamedTuple):
    """Activations of a cell rule, and the gates in `src/cells.h`, `[..., S*H]`."""

    of: Callable[[Any], jax.Array]
    to: Callable[[jax.Array], Any]


def _of_lstm(activations: jax.Array) -> jax.Array:
    i, f, g, o = jnp.split(activations, 4, axis=-1)
    return jnp.concatenate([*map(gate_of_tanh, (i, f)), g, gate_of_tanh(o)], axis=-1)


def _to_lstm(gates: jax.Array) -> jax.Array:
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    return jnp.concatenate([_tanh_of_gate(i), _tanh_of_gate(f), g, _tanh_of_gate(o)], axis=-1)


def _of_gru(activations: GRUActivations) -> jax.Array:
    tanh_rz, n, h_n = activations
    return jnp.concatenate([gate_of_tanh(tanh_rz), n, h_n], axis=-1)


def _to_gru(gates: jax.Array) -> GRUActivations:
    r, z, n, h_n = jnp.split(gates, 4, axis=-1)
    return GRUActivations(_tanh_of_gate(jnp.concatenate([r, z], axis=-1)), n, h_n)


def _tanh_of_gate(gate: jax.Array) -> jax.Array:
    """The inverse of `gate_of_tanh`, which gives back the same gate."""
    return 2 * gate - 1


# By the step. The activation of the Elman cell is its output.
_GATES = {
    ELMAN.step: _Gates(of=lambda activations: activations, to=lambda gates: gates),
    GRU.step: _Gates(of=_of_gru, to=_to_gru),
    LSTM.step: _Gates(of=_of_lstm, to=_to_lstm),
    SLSTM.step: _Gates(
        of=lambda activations: jnp.concatenate(activations, axis=-1),
        to=lambda gates: SLSTMActivations(*jnp.split(gates, 4, axis=-1)),
    ),
}


def run_forward(
    directions: Directions, keep_gates: bool, out_dtype: Any
) -> tuple[Results, tuple[Residuals, ...]]:
    """Results, with outputs of that dtype, and residuals, of a layer whose cell has a rule."""
    shapes = shapes_of_residuals(directions, keep_gates)
    gates_of = _GATES[directions[0].cell.step].of

    def store(activations: Any, old: Any, new: Any) -> Residuals:
        del old
        gates = None if shapes[0].gates is None else gates_of(activations)
        return Residuals(cell_state_of(new), gates)

    results, stored = run_loops(directions, store, out_dtype)

    def in_time(direction: Direction, leaf: jax.Array) -> jax.Array:
        return clear(turn(leaf.swapaxes(0, 1), direction.reverse), direction.valid)

    pairs = zip(directions, stored, strict=True)
    return results, tuple(
        jax.tree.map(lambda leaf, d=direction: in_time(d, leaf), of_direction)
        for direction, of_direction in pairs
    )


def run_backward(static: BackwardStatic, operands: Operands) -> Operands:
    """The backward operation of a layer whose cell has a rule."""
    auto, wanted = static
    rows, ys, residuals = operands.rows
    directions, (d_carries, d_ys) = join_directions(operands.shared, rows), operands.d_rows
    parts = Outputs((), (ys,), sizes_of(directions)).split()
    stored = tuple(map(_as_stored, directions, parts, residuals))
    cotangents = d_carries, d_ys.astype(directions[0].xs.dtype)
    # The activation of the Elman cell, its output, is there in any case.
    auto = auto and residuals[0].gates is not None
    return compute_backward(
        (auto, wanted), Operands(operands.shared, (rows, ys, stored), d_rows=cotangents)
    )


def _as_stored(direction: Direction, ys: jax.Array, residuals: Residuals) -> StepResiduals:
    """What `kernels.xla.layer` stores of every step, in the order of the direction."""
    ys = turn(ys, direction.reverse)
    cs, gates, valid, at = (
        None if leaf is None else turn(leaf, direction.reverse)
        for leaf in (*residuals, direction.valid, at_of(direction))
    )
    has_h = valid is None and ys.shape[1] > 0  # in the outputs, of the step before
    after = direction.carry._replace(h=None if has_h else ys)
    after = with_cell_state(after, cs)
    before = functools.partial(_before, valid=valid)
    first = direction.carry._replace(h=None) if has_h else direction.carry
    carry = jax.tree.map(before, after, first)
    if direction.starts is not None and at is not None:
        put = lambda first, leaf: jnp.where(at[..., None], first[:, None], leaf)  # noqa: E731
        carry = jax.tree.map(put, direction.starts.carry, carry)
    if direction.cell.step == ELMAN.step:
        gates = ys
    activations = None if gates is None else _GATES[direction.cell.step].to(gates)
    return StepResiduals(carry, activations)


def _before(leaf: jax.Array, first: jax.Array, valid: jax.Array | None) -> jax.Array:
    """`[B, T, H]` before each step, of `leaf` after each; `first` stands before the first one."""
    num_steps = leaf.shape[1]
    if valid is None:
        return jnp.concatenate([first[:, None], leaf], axis=1)[:, :num_steps]
    # The last valid step, up to each.
    last = jax.lax.cummax(jnp.where(valid, jnp.arange(num_steps)[None], -1), axis=1)
    last = jnp.pad(last, ((0, 0), (1, 0)), constant_values=-1)[:, :num_steps, None]
    before = jnp.take_along_axis(leaf, jnp.maximum(last, 0), axis=1)
    return jnp.where(last < 0, first[:, None], before)
