"""Cells, `RNN` and `Bidirectional` of `flax.nnx`: parameters and states.

The equations are those of this library, and columns are gates: `LSTMCell` names each, the other
cells pack them, i f g o and r z n. An LSTM keeps its bias on the side of the state, the others on
the side of the input. `GRUCell` has no `b_hn`. The carry of an LSTM is `(c, h)`.
"""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.types import Bi
from .._stacks.layer import LayerParams, Layers
from ..cells import ELMAN, GRU, LSTM
from ._errors import check_keys, check_shapes
from ._layers import CellParams, Imported, cell_name, from_stack, make_params, to_stack
from .linen import export_layer, from_linen_cell, import_layer
from .linen import states_from_linen as states_from_nnx
from .linen import states_to_linen as states_to_nnx

__all__ = ["from_nnx", "states_from_nnx", "states_to_nnx", "to_nnx"]

# Options of the modules that change what the weights mean, and are not among the weights.
_OPTIONS = ["activation_fn", "gate_fn", "residual", "reverse", "merge_fn"]


def from_nnx(modules: Sequence[Any]) -> Imported:
    """Layers and parameters of cells of `flax.nnx`.

    Args:
      modules: one for each layer, from the bottom to the top: a module, or its parameters as nested
        dicts of arrays (`nnx.to_pure_dict(nnx.state(module, nnx.Param))`), or a `Bi` of two.

    Returns:
      layers: a single cell is a layer with direction "fwd".
      params: of the layers; `b_hn` of a GRU is zero.

    Raises:
      ValueError: if keys are missing or surplus, shapes do not fit, or a module has other
        activations, a residual, a merge or a direction that its weights do not tell.

    Example:
      >>> from birnn_jax.interop.nnx import from_nnx
      >>> tree = {"dense_i": {"kernel": jnp.ones([3, 12]), "bias": jnp.ones(12)},
      ...         "dense_h": {"kernel": jnp.ones([4, 12])}}
      >>> layers, params = from_nnx([tree])
      >>> layers == (Layer(GRU, direction="fwd"),), params[0].rnn.b_hn.tolist()
      (True, [0.0, 0.0, 0.0, 0.0])
    """
    return to_stack(import_layer(_tree(module), _from_cell) for module in modules)


def to_nnx(layers: Layers, params: Sequence[LayerParams]) -> list[dict[str, Any]]:
    """The parameters of nnx modules, as nested dicts of arrays for `nnx.replace_by_pure_dict`.

    An LSTM is that of `OptimizedLSTMCell`. Each layer is an `RNN` or a `Bidirectional`.

    Args:
      layers: of the stack; `merge` and the direction "bwd" are for the modules to say.
      params: of the layers.

    Raises:
      ValueError: for a cell that nnx has not, and for a GRU with a `b_hn` other than zero.

    Example:
      >>> from birnn_jax.interop.nnx import to_nnx
      >>> layers = (Layer(LSTM, direction="fwd"),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> to_nnx(layers, params)[0]["cell"]["dense_h"]["bias"].tolist()[4:8]
      [1.0, 1.0, 1.0, 1.0]
    """
    return [export_layer(directions, _to_cell) for _, directions in from_stack(layers, params)]


def _tree(module: Any) -> Any:
    if isinstance(module, Bi):
        return Bi(*(_tree(part) for part in module))
    if isinstance(module, Mapping):
        return module
    _check_options(module)
    nnx = importlib.import_module("flax.nnx")
    return nnx.to_pure_dict(nnx.state(module, nnx.Param))


def _check_options(module: Any) -> None:
    known = inspect.signature(type(module).__init__).parameters
    for option in _OPTIONS:
        if option in known and getattr(module, option) != known[option].default:
            raise ValueError(
                f"{type(module).__name__} has {option}={getattr(module, option)!r}, which has no "
                "counterpart here. If it is a direction or a merge, give the cells alone and say "
                "so in the Layer."
            )
    for part in ["forward_rnn", "backward_rnn", "cell"]:
        if hasattr(module, part):
            _check_options(getattr(module, part))


def _from_cell(flat: dict[str, np.ndarray]) -> CellParams:
    if "if_.kernel" in flat:
        flat = {key.replace("if_.", "if."): value for key, value in flat.items()}
        return from_linen_cell(flat)
    hidden_size, columns = np.shape(flat.get("dense_h.kernel", [[0.0]]))
    cells = {3 * hidden_size: (GRU, "dense_i"), 4 * hidden_size: (LSTM, "dense_h")}
    cell, bias_at = cells.get(columns, (ELMAN, "dense_i"))
    hint = "a cell of flax.linen: from_linen converts it" if "i.kernel" in flat else None
    bias = f"{bias_at}.bias"
    check_keys("params of the cell", flat, ["dense_i.kernel", "dense_h.kernel", bias], hint)
    w_x, w_h, b = flat["dense_i.kernel"], flat["dense_h.kernel"], flat[bias]
    columns = columns if columns in cells else hidden_size
    shapes = {"dense_h.kernel": (hidden_size, columns), "dense_i.kernel": (len(w_x), columns)}
    check_shapes("params of the cell", flat, shapes | {bias: (columns,)})
    b_hn = {"b_hn": np.zeros(hidden_size, b.dtype)} if cell == GRU else {}
    return make_params(cell, w_x=w_x, w_h=w_h, b=b, **b_hn)


def _to_cell(cell: Any, cell_params: Any) -> dict[str, np.ndarray]:
    name = cell_name(cell, "flax.nnx", ["ELMAN", "GRU", "LSTM"])
    if name == "GRU" and np.any(cell_params.b_hn != 0):
        raise ValueError(
            "nnx.GRUCell has no bias inside the reset gate, so b_hn cannot be exported: it is not "
            "zero, and adding it to b would be another function. flax.linen.GRUCell has it."
        )
    bias_at = "dense_h" if name == "LSTM" else "dense_i"
    return {
        "dense_i.kernel": cell_params.w_x,
        "dense_h.kernel": cell_params.w_h,
        f"{bias_at}.bias": cell_params.b,
    }
