"""Which cells the native code has, and what stands in the arrays that it stores of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import product, sum_dtype, widen
from ..._core.quantized import has_quantized, is_quantized_matrix
from ..._core.types import Cell, Params
from ...cells import (
    COUPLED_LSTM,
    ELMAN,
    GRU,
    GRU_RESET_BEFORE,
    INDRNN,
    LAYER_NORM_GRU_BA,
    LAYER_NORM_LSTM_BA,
    LAYER_NORM_LSTM_TFA,
    LSTM,
    MINGRU,
    MINLSTM,
    PARA_GRU,
    PARA_LSTM,
    PEEPHOLE_LSTM,
    PROJECTED_LSTM,
    SLSTM,
    elman,
)
from ...cells._heads import recurrent_product
from ...cells._linear import stepwise
from ...cells._noise import NoisyStep
from ...cells._slstm import slstm_activations
from ..moving import state_of
from .heads import has_heads

Directions = tuple[Direction, ...]


class NativeCell(NamedTuple):
    """What the native code has of a cell: its name there, and the arrays of `src/layer.h`."""

    name: str
    num_stored: int  # arrays [B, T, H] stored for the gradient; 0: all is computed again
    # (step, params, carry that the gates see, x) -> those arrays of one step; see `src/cells.h`.
    stored: Callable[[Any, Params, Any, jax.Array], Sequence[jax.Array]]
    has_c: bool = False
    has_candidate: bool = True
    in_outputs: bool = False  # what is stored is the output, unless zoneout changes that


class Rates(NamedTuple):
    """Of the noise of a cell; 0 is none."""

    recurrent: float = 0.0
    candidate: float = 0.0
    zoneout_c: float = 0.0
    zoneout_h: float = 0.0


def _all_gates(step: Any, params: Params, carry: Any, x: jax.Array) -> Sequence[jax.Array]:
    return list(step.gates(params, carry, x))


def _gates_and_h_n(step: Any, params: Params, carry: Any, x: jax.Array) -> Sequence[jax.Array]:
    """And the part of the candidate's sum that the reset gate multiplies."""
    w_hn = params.w_h[:, -carry.h.shape[-1] :]
    h_n = recurrent_product(carry.h, w_hn) + widen(params.b_hn)
    return [*step.gates(params, carry, x), h_n]


def _without_input_gate(step: Any, params: Params, carry: Any, x: jax.Array) -> Sequence[jax.Array]:
    """The last of f, g and o, with a peephole, before its sigmoid."""
    return [*step.gates(params, carry, x)][1:]


def _of_slstm(step: Any, params: Params, carry: Any, x: jax.Array) -> Sequence[jax.Array]:
    del step
    return slstm_activations(params, carry, x)


def _sums(step: Any, params: Params, carry: Any, x: jax.Array) -> Sequence[jax.Array]:
    """Of gates that see the input only, before their nonlinearities."""
    del step
    sums = product(x, params.w_x) + widen(params.b)
    return jnp.split(sums, sums.size // carry.h.size)


def _z_and_sum(step: Any, params: Params, carry: Any, x: jax.Array) -> Sequence[jax.Array]:
    a_z, a_n = _sums(step, params, carry, x)
    return [jax.nn.sigmoid(a_z), a_n]


def _nothing(step: Any, params: Params, carry: Any, x: jax.Array) -> Sequence[jax.Array]:
    del step, params, carry, x
    return []


def _of_one_sum(name: str) -> NativeCell:
    return NativeCell(name, 1, _all_gates, has_candidate=False, in_outputs=True)


# By the step: a cell that differs from a built-in one in its initialisers only is as fast.
_CELLS: dict[Any, NativeCell] = {
    ELMAN.step: _of_one_sum("elman"),
    elman(jax.nn.relu).step: _of_one_sum("relu_elman"),
    INDRNN.step: _of_one_sum("indrnn"),
    GRU.step: NativeCell("gru", 4, _gates_and_h_n),
    GRU_RESET_BEFORE.step: NativeCell("gru_reset_before", 3, _all_gates),
    LSTM.step: NativeCell("lstm", 4, _all_gates, has_c=True),
    PEEPHOLE_LSTM.step: NativeCell("peephole_lstm", 4, _all_gates, has_c=True),
    COUPLED_LSTM.step: NativeCell("coupled_lstm", 3, _without_input_gate, has_c=True),
    PROJECTED_LSTM.step: NativeCell("projected_lstm", 4, _all_gates, has_c=True),
    LAYER_NORM_LSTM_BA.step: NativeCell("layer_norm_lstm_ba", 0, _nothing, has_c=True),
    LAYER_NORM_LSTM_TFA.step: NativeCell("layer_norm_lstm_tfa", 0, _nothing, has_c=True),
    LAYER_NORM_GRU_BA.step: NativeCell("layer_norm_gru_ba", 0, _nothing),
    SLSTM.step: NativeCell("slstm", 4, _of_slstm, has_c=True),
    PARA_GRU.step: NativeCell("para_gru", 3, _all_gates),
    PARA_LSTM.step: NativeCell("para_lstm", 3, _without_input_gate, has_c=True),
    MINGRU.step: NativeCell("mingru", 2, _z_and_sum, has_candidate=False),
    MINLSTM.step: NativeCell("minlstm", 3, _sums, has_candidate=False),
}


def find_native_cell(directions: Directions) -> NativeCell | None:
    """That of all directions of a layer, if the native code has it; noise may differ."""
    cells = {(_find_native_cell(own), has_quantized(own.params)) for own in directions}
    return cells.pop()[0] if len(cells) == 1 else None


def native_cell(directions: Directions) -> NativeCell:
    """That of a layer which has one."""
    return _CELLS[plain_step(directions[0].cell)]


def plain_step(cell: Cell) -> Any:
    """The step without its noise, one after the other."""
    step = cell.step.step if isinstance(cell.step, NoisyStep) else cell.step
    return stepwise(cell._replace(step=step)).step


def rates_of(cell: Cell) -> Rates:
    """Of its noise."""
    step = cell.step
    if not isinstance(step, NoisyStep):
        return Rates()
    return Rates(step.recurrent, step.candidate, step.zoneout_c, step.zoneout_h)


def has_native_dtypes(direction: Direction) -> bool:
    """Parameters and inputs must share a floating dtype; the carry must be of its `sum_dtype`."""
    leaves = jax.tree.leaves((direction.params, direction.xs), is_leaf=is_quantized_matrix)
    dtypes = {leaf.dtype for leaf in leaves}
    states = {leaf.dtype for leaf in jax.tree.leaves(state_of(direction))}
    if len(dtypes) != 1 or not all(jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes):
        return False
    return states == {sum_dtype(*dtypes)}


def _find_native_cell(direction: Direction) -> NativeCell | None:
    cell, rates = _CELLS.get(plain_step(direction.cell)), rates_of(direction.cell)
    if cell is None or not has_native_dtypes(direction):
        return None
    if rates.candidate and not cell.has_candidate:
        return None
    if has_quantized(direction.params) and not _takes_bytes(cell, direction):
        return None
    return None if rates.zoneout_c and not cell.has_c else cell


def _takes_bytes(cell: NativeCell, direction: Direction) -> bool:
    """Weights of 8 bits, both matrices, of so few features that sums fit into 32 bits."""
    matrices = (direction.params.w_x, direction.params.w_h)
    return (
        cell.name in ("lstm", "gru")
        and not has_heads(direction)
        and all(map(is_quantized_matrix, matrices))
        and max(matrix.shape[0] for matrix in matrices) <= 65536
    )
