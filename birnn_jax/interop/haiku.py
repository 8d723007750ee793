"""`haiku.LSTM`, `haiku.GRU` and `haiku.VanillaRNN`: parameters and states.

The LSTM packs its gates i, g, f, o, has one matrix for input and state, and adds 1 to the forget
gate when it computes: here that 1 is in the bias. The GRU resets before the product and `VanillaRNN`
is a ReLU, so neither is `GRU` or `ELMAN`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._stack import Layer
from .._types import Bi, Carry, Params
from ..cells import LSTM, LSTMParams
from ._errors import check_keys, check_shapes, framework
from ._layers import (
    LSTM_GATES,
    CellParams,
    Imported,
    as_numpy,
    cell_name,
    export_states,
    from_stack,
    import_states,
    reorder,
    to_stack,
)

_GATES = "igfo"


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
      >>> layers == (Layer(LSTM),), params[0].fwd.b[4:8].tolist()
      (True, [1.0, 1.0, 1.0, 1.0])
    """
    return to_stack(
        Bi(*(_import_cell(params, one) for one in name))
        if isinstance(name, Bi)
        else _import_cell(params, name)
        for name in names
    )


def to_haiku(
    layers: Sequence[Layer], params: Sequence[Params], names: Sequence[str | Bi[str]]
) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of Haiku's cores, under the names they have there.

    Args:
      layers: of `LSTM`, which is the only cell that both have.
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
        for key, (cell, one) in zip(keys, directions, strict=True):
            exported[f"{key}/linear"] = _export_cell(cell, one)
    return exported


def states_from_haiku(layers: Sequence[Layer], states: Sequence[Any]) -> tuple[Carry, ...]:
    """Carries for `stack` from an `LSTMState` for each layer, a pair of them for two directions."""
    return import_states(layers, states, lambda state: (state.hidden, state.cell))


def states_to_haiku(carries: Sequence[Carry]) -> list[Any]:
    """A `haiku.LSTMState` for each layer, a pair of them for two directions."""
    haiku = framework("haiku", "dm-haiku", "states_to_haiku")
    return export_states(carries, lambda h, c: haiku.LSTMState(hidden=h, cell=c))


def _import_cell(params: Mapping[str, Any], name: str) -> CellParams:
    found = {key: params[key] for key in params if key == name or key.startswith(f"{name}/")}
    if f"{name}/linear_1" in found:
        raise ValueError(f"{name!r} is a VanillaRNN: a ReLU, which has no cell here yet.")
    if set(found.get(name, {})) == {"w_i", "w_h", "b"}:
        raise ValueError(
            f"{name!r} is a haiku.GRU, which applies the reset gate before the product with w_h; "
            "birnn_jax.GRU applies it after. No weights make them equal."
        )
    check_keys("params", found, [f"{name}/linear"], f"the cores are {_cores(params)}")
    arrays = {key: as_numpy(array) for key, array in found[f"{name}/linear"].items()}
    check_keys(f"params[{name + '/linear'!r}]", arrays, ["w", "b"])
    w, b = arrays["w"], arrays["b"]
    hidden_size = w.shape[-1] // 4
    input_size = w.shape[0] - hidden_size
    shapes = {"w": (input_size + hidden_size, 4 * hidden_size), "b": (4 * hidden_size,)}
    check_shapes(f"params[{name + '/linear'!r}]", arrays, shapes)
    w, b = reorder(w, _GATES, LSTM_GATES), reorder(b, _GATES, LSTM_GATES)
    b[hidden_size : 2 * hidden_size] += 1
    return LSTM, LSTMParams(w_x=w[:input_size], w_h=w[input_size:], b=b)


def _export_cell(cell: Any, one: Any) -> dict[str, np.ndarray]:
    name = cell_name(cell, "Haiku")
    if name != "LSTM":
        other = {"GRU": "resets before the product", "ELMAN": "is a ReLU, not a tanh"}[name]
        raise ValueError(f"{name} has no counterpart in Haiku, whose core {other}.")
    b = one.b.copy()
    b[b.size // 4 : b.size // 2] -= 1
    w = np.concatenate([one.w_x, one.w_h])
    return {"w": reorder(w, LSTM_GATES, _GATES), "b": reorder(b, LSTM_GATES, _GATES)}


def _cores(params: Mapping[str, Any]) -> list[str]:
    return sorted({key.rpartition("/linear")[0] or key for key in params})
