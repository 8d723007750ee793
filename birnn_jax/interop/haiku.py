"""`haiku.LSTM`, `haiku.GRU` and `haiku.VanillaRNN`: parameters and states.

The LSTM packs its gates i, g, f, o, has one matrix for input and state, and adds 1 to the forget
gate when it computes: here that 1 is in the bias. The GRU packs z, r, a, is `GRU_RESET_BEFORE`,
and its z says how much is new where ours says how much is kept: weights and bias change sign.
`VanillaRNN` is a ReLU.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.types import Bi, Carry, Cell
from .._stacks.layer import LayerParams, Layers
from ..cells import GRU_RESET_BEFORE, LSTM
from ._errors import check_keys, check_shapes, framework
from ._layers import (
    LSTM_GATES,
    RELU,
    CellParams,
    Imported,
    as_numpy,
    blocks,
    cell_name,
    export_states,
    from_stack,
    import_states,
    make_params,
    reorder,
    to_stack,
)

_LSTM_GATES, _GRU_GATES = "igfo", "zra"
_CELLS = ["LSTM", "GRU_RESET_BEFORE", "RELU"]


def from_haiku(params: Mapping[str, Any], names: Sequence[str | Bi[str]]) -> Imported:
    """Layers and parameters of recurrent cores of Haiku.

    Args:
      params: of a transformed function: names of modules, each with its arrays.
      names: of the core of each layer, from the bottom to the top, such as "lstm"; a `Bi` of two
        names for two directions, since Haiku has no module for both.

    Returns:
      layers: a single name is a layer with direction "fwd".
      params: of the layers.

    Raises:
      ValueError: if keys are missing or surplus, shapes do not fit, or there is no such cell here.

    Example:
      >>> from birnn_jax.interop.haiku import from_haiku
      >>> weights = {"w": jnp.ones([7, 16]), "b": jnp.zeros(16)}
      >>> params = {"lstm/linear": weights, "lstm_1/linear": weights}
      >>> layers, params = from_haiku(params, [Bi("lstm", "lstm_1")])
      >>> layers == (Layer(LSTM),), params[0].rnn.fwd.b[4:8].tolist()
      (True, [1.0, 1.0, 1.0, 1.0])
    """
    return to_stack(
        Bi(*(_import_cell(params, part) for part in name))
        if isinstance(name, Bi)
        else _import_cell(params, name)
        for name in names
    )


def to_haiku(
    layers: Layers, params: Sequence[LayerParams], names: Sequence[str | Bi[str]]
) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of Haiku's cores, under the names they have there.

    Args:
      layers: of `LSTM`, `GRU_RESET_BEFORE` or `elman(jax.nn.relu)`.
      params: of the layers.
      names: as in `from_haiku`.

    Raises:
      ValueError: for a cell that Haiku has not, or names that do not fit the layers.

    Example:
      >>> from birnn_jax.interop.haiku import to_haiku
      >>> layers = (Layer(LSTM, direction="fwd"),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> to_haiku(layers, params, ["lstm"])["lstm/linear"]["w"].shape
      (7, 16)
    """
    exported = {}
    for (_, directions), name in zip(from_stack(layers, params), names, strict=True):
        keys = list(name) if isinstance(name, Bi) else [name]
        if len(keys) != len(directions):
            raise ValueError(f"A layer of {len(directions)} directions has the names {keys}.")
        for key, (cell, cell_params) in zip(keys, directions, strict=True):
            exported |= {
                f"{key}{end}": arrays for end, arrays in _export_cell(cell, cell_params).items()
            }
    return exported


def states_from_haiku(layers: Layers, states: Sequence[Any]) -> tuple[Carry, ...]:
    """Carries for `stack` from the states of cores.

    Args:
      layers: of the stack.
      states: an `LSTMState` or `h` for each layer, a pair of them for two directions.

    Raises:
      ValueError: if they are not those of the layers.
    """
    return import_states(
        layers, states, lambda s: (s.hidden, s.cell) if hasattr(s, "cell") else (s, None)
    )


def states_to_haiku(carries: Sequence[Carry]) -> list[Any]:
    """A `haiku.LSTMState` or `h` for each layer, a pair of them for two directions.

    Args:
      carries: from `stack`.
    """
    haiku = framework("haiku", "dm-haiku", "states_to_haiku")
    return export_states(
        carries, lambda h, c: h if c is None else haiku.LSTMState(hidden=h, cell=c)
    )


def _import_cell(params: Mapping[str, Any], name: str) -> CellParams:
    found = {
        key.removeprefix(name): {leaf: as_numpy(array) for leaf, array in arrays.items()}
        for key, arrays in params.items()
        if key == name or key.startswith(f"{name}/")
    }
    if "" in found:
        return _import_gru(name, found)
    if "/linear_1" in found:
        return _import_vanilla(name, found)
    check_keys(f"params of {name!r}", found, ["/linear"], f"the cores are {_cores(params)}")
    return _import_lstm(name, found["/linear"])


def _import_lstm(name: str, arrays: dict[str, np.ndarray]) -> CellParams:
    where = f"params of {name!r}, an LSTM"
    check_keys(where, arrays, ["w", "b"])
    hidden_size = arrays["w"].shape[-1] // 4
    input_size = arrays["w"].shape[0] - hidden_size
    shapes = {"w": (input_size + hidden_size, 4 * hidden_size), "b": (4 * hidden_size,)}
    check_shapes(where, arrays, shapes)
    w, b = (reorder(arrays[key], _LSTM_GATES, LSTM_GATES) for key in ["w", "b"])
    b[hidden_size : 2 * hidden_size] += 1
    return make_params(LSTM, w_x=w[:input_size], w_h=w[input_size:], b=b)


def _import_gru(name: str, found: dict[str, dict[str, np.ndarray]]) -> CellParams:
    where = f"params of {name!r}, a GRU"
    check_keys(where, found, [""])
    arrays = found[""]
    check_keys(where, arrays, ["w_i", "w_h", "b"])
    input_size, columns = arrays["w_i"].shape
    shapes = {"w_i": (input_size, columns), "w_h": (columns // 3, columns), "b": (columns,)}
    check_shapes(where, arrays, shapes)
    w_x, w_h, b = (_swap_gru(arrays[key], _GRU_GATES, "rza") for key in ["w_i", "w_h", "b"])
    return make_params(GRU_RESET_BEFORE, w_x=w_x, w_h=w_h, b=b)


def _import_vanilla(name: str, found: dict[str, dict[str, np.ndarray]]) -> CellParams:
    where = f"params of {name!r}, a VanillaRNN"
    flat = {f"{key[1:]}.{leaf}": a for key, arrays in found.items() for leaf, a in arrays.items()}
    input_size, hidden_size = flat["linear.w"].shape
    flat.setdefault("linear_1.b", np.zeros(hidden_size, flat["linear.w"].dtype))  # double_bias
    sizes = {"linear": input_size, "linear_1": hidden_size}
    shapes = {f"{key}.w": (size, hidden_size) for key, size in sizes.items()}
    shapes |= {f"{key}.b": (hidden_size,) for key in sizes}
    check_keys(where, flat, shapes)
    check_shapes(where, flat, shapes)
    b = flat["linear.b"] + flat["linear_1.b"]
    return make_params(RELU, w_x=flat["linear.w"], w_h=flat["linear_1.w"], b=b)


def _export_cell(cell: Cell, cell_params: Any) -> dict[str, dict[str, np.ndarray]]:
    name = cell_name(cell, "Haiku", _CELLS)
    if name == "RELU":
        zeros = np.zeros_like(cell_params.b)
        return {
            "/linear": {"w": cell_params.w_x, "b": cell_params.b},
            "/linear_1": {"w": cell_params.w_h, "b": zeros},
        }
    if name == "GRU_RESET_BEFORE":
        arrays = {"w_i": cell_params.w_x, "w_h": cell_params.w_h, "b": cell_params.b}
        return {"": {key: _swap_gru(array, "rza", _GRU_GATES) for key, array in arrays.items()}}
    b = cell_params.b.copy()
    b[b.size // 4 : b.size // 2] -= 1
    w = np.concatenate([cell_params.w_x, cell_params.w_h])
    w, b = (reorder(array, LSTM_GATES, _LSTM_GATES) for array in (w, b))
    return {"/linear": {"w": w, "b": b}}


def _swap_gru(array: np.ndarray, source: str, target: str) -> np.ndarray:
    """Puts the gates in the other order and turns z into 1 - z."""
    named = blocks(array, source)
    named["z"] = -named["z"]
    return np.concatenate([named[gate] for gate in target], axis=-1)


def _cores(params: Mapping[str, Any]) -> list[str]:
    return sorted({key.rpartition("/linear")[0] or key for key in params})
