"""`equinox.nn.LSTMCell` and `equinox.nn.GRUCell`: parameters and states.

Gates are packed as here, i f g o and r z n, in rows; one bias, and `bias_n` inside the reset gate.
The states of an LSTM are `(h, c)`.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._core.types import Bi, Carry
from .._stacks.layer import LayerParams, Layers
from ..cells import GRU, LSTM
from ._errors import check_shapes, framework
from ._layers import (
    CellParams,
    Imported,
    as_numpy,
    cell_name,
    export_states,
    from_stack,
    import_states,
    in_pair,
    make_params,
    to_stack,
)


def from_equinox(cells: Sequence[Any]) -> Imported:
    """Layers and parameters of cells of Equinox.

    Args:
      cells: an `LSTMCell` or a `GRUCell` for each layer, from the bottom to the top; a `Bi` of two
        for two directions, since Equinox has no module for both.

    Returns:
      layers: a single cell is a layer with direction "fwd".
      params: biases that are absent (`use_bias=False`) are zero.

    Raises:
      ValueError: if shapes do not fit, or there is no such cell here.
    """
    return to_stack(
        Bi(*(_import_cell(module) for module in cell))
        if isinstance(cell, Bi)
        else _import_cell(cell)
        for cell in cells
    )


def to_equinox(layers: Layers, params: Sequence[LayerParams]) -> list[Any]:
    """The cells of Equinox that compute the same: one for each layer, or a `Bi` of two.

    Args:
      layers: of the stack; `merge` and the direction "bwd" are for the caller's loop to say.
      params: of the layers.

    Raises:
      ValueError: for a cell that Equinox has not.
    """
    return [
        in_pair([_export_cell(cell, cell_params) for cell, cell_params in directions])
        for _, directions in from_stack(layers, params)
    ]


def states_from_equinox(layers: Layers, states: Sequence[Any]) -> tuple[Carry, ...]:
    """Carries for `stack` from those of each layer, a pair for two directions.

    Args:
      layers: of the stack.
      states: `h` of a GRU, `(h, c)` of an LSTM, with leaves `[B, H]`.

    Raises:
      ValueError: if they are not those of the layers.

    Example:
      >>> from birnn_jax.interop.equinox import states_from_equinox, states_to_equinox
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> carries, _ = stack(layers, params, jnp.zeros([2, 5, 3]))
      >>> again = states_from_equinox(layers, states_to_equinox(carries))
      >>> again[0].bwd.c.shape
      (2, 4)
    """
    return import_states(layers, states, lambda s: tuple(s) if isinstance(s, tuple) else (s, None))


def states_to_equinox(carries: Sequence[Carry]) -> list[Any]:
    """`h` or `(h, c)` for each layer, a pair for two directions.

    Args:
      carries: from `stack`.
    """
    return export_states(carries, lambda h, c: h if c is None else (h, c))


def _import_cell(module: Any) -> CellParams:
    name = type(module).__name__
    if name not in ("GRUCell", "LSTMCell"):
        raise ValueError(f"from_equinox converts LSTMCell and GRUCell, got {name}.")
    gates = 3 if name == "GRUCell" else 4
    rows, input_size, hidden_size = (
        gates * module.hidden_size,
        module.input_size,
        module.hidden_size,
    )
    zeros = np.zeros(rows, module.weight_ih.dtype)
    arrays = {
        "weight_ih": as_numpy(module.weight_ih),
        "weight_hh": as_numpy(module.weight_hh),
        "bias": zeros if module.bias is None else as_numpy(module.bias),
    }
    shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size), "bias": (rows,)}
    check_shapes(name, arrays, shapes)
    w_x, w_h, b = arrays["weight_ih"].T, arrays["weight_hh"].T, arrays["bias"]
    if gates == 4:
        return make_params(LSTM, w_x=w_x, w_h=w_h, b=b)
    b_hn = zeros[:hidden_size] if module.bias_n is None else as_numpy(module.bias_n)
    check_shapes(name, {"bias_n": b_hn}, {"bias_n": (hidden_size,)})
    return make_params(GRU, w_x=w_x, w_h=w_h, b=b, b_hn=b_hn)


def _export_cell(cell: Any, cell_params: Any) -> Any:
    name = cell_name(cell, "Equinox", ["GRU", "LSTM"])
    equinox = framework("equinox", "equinox", "to_equinox")
    make = getattr(equinox.nn, f"{name}Cell")
    module = make(
        *cell_params.w_x.shape[:1],
        cell_params.w_h.shape[0],
        dtype=cell_params.b.dtype,
        key=jax.random.key(0),
    )
    fields = {"weight_ih": cell_params.w_x.T, "weight_hh": cell_params.w_h.T, "bias": cell_params.b}
    fields |= {"bias_n": cell_params.b_hn} if name == "GRU" else {}
    return equinox.tree_at(
        lambda m: [getattr(m, field) for field in fields],
        module,
        [jax.numpy.asarray(array) for array in fields.values()],
    )
