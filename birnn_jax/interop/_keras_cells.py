"""Cells of Keras as cells and parameters of this library, and back.

Columns are gates, i f c o in an LSTM and z r h in a GRU. With `reset_after=True` a GRU has two rows
of bias, of input and of state.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._core.types import Cell
from ..cells import ELMAN, GRU, GRU_RESET_BEFORE, LSTM, GRUParams, GRUResetBeforeParams
from ._errors import check_keys, check_shapes
from ._keras_cudnn import as_plain, is_of_cudnn
from ._keras_layers import KEYS, Weights, class_name
from ._layers import GRU_GATES, RELU, CellParams, make_params, reorder

_GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
_GRU_GATES = "zrn"  # those of the LSTM are packed as here


def import_cell(name: str, config: Mapping[str, Any], arrays: Weights) -> CellParams:
    """One direction of the layer with this name, from its configuration and its weights."""
    kind, settings = class_name(config), config["config"]
    where = f"{kind} {name!r}"
    if kind not in _GATES:
        raise ValueError(f"{where} cannot be converted; {', '.join(_GATES)} and their cells can.")
    check_keys(where, arrays, KEYS if settings.get("use_bias", True) else KEYS[:2])
    if kind != "SimpleRNN" and is_of_cudnn(arrays):
        arrays, settings = as_plain(arrays), {**settings, "reset_after": True}
    cell = _cell(where, kind, settings)
    input_size, hidden_size = arrays["kernel"].shape[0], arrays["recurrent_kernel"].shape[0]
    columns = _GATES[kind] * hidden_size
    bias_shape = (2, columns) if cell == GRU else (columns,)
    arrays = {"bias": np.zeros(bias_shape, arrays["kernel"].dtype), **arrays}
    shapes = {"kernel": (input_size, columns), "recurrent_kernel": (hidden_size, columns)}
    check_shapes(where, arrays, shapes | {"bias": bias_shape})
    w_x, w_h, b = (arrays[key] for key in KEYS)
    if kind == "GRU":
        w_x, w_h, b = (reorder(array, _GRU_GATES, GRU_GATES) for array in (w_x, w_h, b))
    if cell == GRU:
        start = 2 * hidden_size
        b_hn, b = b[1, start:], np.concatenate([b.sum(axis=0)[:start], b[0, start:]])
        return make_params(cell, w_x=w_x, w_h=w_h, b=b, b_hn=b_hn)
    return make_params(cell, w_x=w_x, w_h=w_h, b=b)


def export_cell(cell_params: Any) -> list[np.ndarray]:
    """The weights of a layer of Keras in the order in which `set_weights` takes them."""
    if isinstance(cell_params, GRUResetBeforeParams):
        return [
            reorder(array, GRU_GATES, _GRU_GATES)
            for array in (cell_params.w_x, cell_params.w_h, cell_params.b)
        ]
    if isinstance(cell_params, GRUParams):
        b_h = np.concatenate(
            [np.zeros_like(cell_params.b)[cell_params.b_hn.size :], cell_params.b_hn]
        )
        arrays = [cell_params.w_x, cell_params.w_h, np.stack([cell_params.b, b_h])]
        return [reorder(array, GRU_GATES, _GRU_GATES) for array in arrays]
    return [cell_params.w_x, cell_params.w_h, cell_params.b]


def _cell(where: str, kind: str, settings: Mapping[str, Any]) -> Cell:
    activation = settings.get("activation", "tanh")
    recurrent = settings.get("recurrent_activation", "sigmoid")
    if kind == "SimpleRNN" and activation == "relu":
        return RELU
    if (activation, recurrent) != ("tanh", "sigmoid"):
        raise ValueError(
            f"{where} has {activation=} and recurrent_activation={recurrent!r}; the cells here have"
            " 'tanh' and 'sigmoid', or 'relu' in a SimpleRNN."
        )
    if kind == "GRU":  # the first versions had one kind, and no setting for it
        return GRU if settings.get("reset_after", False) else GRU_RESET_BEFORE
    return LSTM if kind == "LSTM" else ELMAN
