"""Cells, `RNN` and `Bidirectional` of `flax.linen`: parameters and states.

The equations are those of this library, and columns are gates, each under its name. An LSTM keeps
its bias on the side of the state, a GRU on the side of the input. The carry of an LSTM is `(c, h)`.

A layer is given as the parameters of a cell, of an `RNN` or of a `Bidirectional`, or as a `Bi` of
two of them. Activations, residuals and merges other than the defaults are not in the parameters:
they are yours to check.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.types import Bi, Carry
from .._stacks.layer import LayerParams, Layers
from ..cells import ELMAN, GRU, LSTM
from ._errors import check_keys, check_shapes
from ._layers import (
    GRU_GATES,
    LSTM_GATES,
    CellParams,
    Imported,
    blocks,
    cell_name,
    export_states,
    flatten,
    from_stack,
    import_states,
    make_params,
    to_stack,
    unflatten,
)

_LINEN_LSTM = [f"{side}{gate}" for side in "ih" for gate in LSTM_GATES]
_LINEN_GRU = [f"{side}{gate}" for side in "ih" for gate in GRU_GATES]


def from_linen(trees: Sequence[Any]) -> Imported:
    """Layers and parameters of cells of `flax.linen`.

    Args:
      trees: one for each layer, from the bottom to the top: the parameters of an `LSTMCell`, an
        `OptimizedLSTMCell`, a `GRUCell` or a `SimpleCell`, or of what holds them (see above).

    Returns:
      layers: a single cell is a layer with direction "fwd".
      params: of the layers.

    Raises:
      ValueError: if keys are missing or surplus, or shapes do not fit.

    Example:
      >>> from birnn_jax.interop.linen import from_linen
      >>> tree = {"i": {"kernel": jnp.ones([3, 4]), "bias": jnp.ones(4)},
      ...         "h": {"kernel": jnp.ones([4, 4])}}
      >>> layers, params = from_linen([Bi(tree, {"cell": tree})])
      >>> layers == (Layer(ELMAN),), params[0].rnn.bwd.w_x.shape
      (True, (3, 4))
    """
    return to_stack(import_layer(tree, from_linen_cell) for tree in trees)


def to_linen(layers: Layers, params: Sequence[LayerParams]) -> list[dict[str, Any]]:
    """The parameters of an `RNN` for each layer of one direction, of a `Bidirectional` for two.

    Args:
      layers: of the stack; `merge` and the direction "bwd" are for the modules to say.
      params: of the layers.

    Raises:
      ValueError: for a cell that linen has not.

    Example:
      >>> from birnn_jax.interop.linen import to_linen
      >>> layers = (Layer(GRU),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> to_linen(layers, params)[0]["backward_rnn"]["cell"]["hn"]["bias"].shape
      (4,)
    """
    return [
        export_layer(directions, _to_linen_cell) for _, directions in from_stack(layers, params)
    ]


def states_from_linen(layers: Layers, carries: Sequence[Any]) -> tuple[Carry, ...]:
    """Carries for `stack` from those of linen or nnx, one for each layer.

    Args:
      layers: of the stack.
      carries: `h`, `(c, h)` of an LSTM, or the pair for both directions of a `Bidirectional`.

    Raises:
      ValueError: if they are not those of the layers.

    Example:
      >>> from birnn_jax.interop.linen import states_from_linen, states_to_linen
      >>> layers = (Layer(LSTM),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> carries, _ = stack(layers, params, jnp.zeros([2, 5, 3]))
      >>> again = states_from_linen(layers, states_to_linen(carries))
      >>> again[0].bwd.c.shape
      (2, 4)
    """
    return import_states(layers, carries, _hidden_and_cell)


def states_to_linen(carries: Sequence[Carry]) -> list[Any]:
    """Carries of linen and nnx, one for each layer: `h`, or `(c, h)`; a pair for two directions.

    Args:
      carries: from `stack`.
    """
    return export_states(carries, lambda h, c: h if c is None else (c, h))


def _hidden_and_cell(carry: Any) -> tuple[Any, Any]:
    return (carry[1], carry[0]) if isinstance(carry, tuple | list) else (carry, None)


def import_layer(tree: Any, convert: Any) -> CellParams | Bi[CellParams]:
    """One layer of linen or nnx; `convert` takes the flat weights of one cell."""
    if isinstance(tree, Bi):
        return Bi(*(convert(_cell_tree(part)) for part in tree))
    tree = tree.get("params", tree)
    if "forward_rnn" in tree and "backward_rnn" in tree:
        return Bi(*(convert(_cell_tree(tree[k])) for k in ["forward_rnn", "backward_rnn"]))
    return convert(_cell_tree(tree))


def _cell_tree(tree: Any) -> dict[str, np.ndarray]:
    tree = tree.get("params", tree)
    return flatten(tree.get("cell", tree))


def export_layer(directions: list[CellParams], convert: Any) -> dict[str, Any]:
    """The inverse of `import_layer`; `convert` gives the flat weights of one cell."""
    rnns = [{"cell": unflatten(convert(cell, cell_params))} for cell, cell_params in directions]
    return dict(zip(["forward_rnn", "backward_rnn"], rnns, strict=True)) if rnns[1:] else rnns[0]


def from_linen_cell(flat: dict[str, np.ndarray]) -> CellParams:
    """A cell whose gates have names of their own; `nnx.LSTMCell` is another."""
    if "hi.kernel" in flat or "ii.kernel" in flat:
        return _from_named_gates(flat, LSTM, _LINEN_LSTM, [f"h{gate}" for gate in LSTM_GATES])
    if "hn.kernel" in flat or "in.kernel" in flat:
        return _from_named_gates(flat, GRU, _LINEN_GRU, ["ir", "iz", "in", "hn"])
    hint = None
    if "dense_i.kernel" in flat:
        hint = "a cell of flax.nnx: from_nnx converts it"
    return _from_named_gates(flat, ELMAN, ["i", "h"], ["i"], hint)


def _from_named_gates(
    flat: dict[str, np.ndarray],
    cell: Any,
    kernels: list[str],
    biases: list[str],
    hint: str | None = None,
) -> CellParams:
    keys = [f"{name}.kernel" for name in kernels] + [f"{name}.bias" for name in biases]
    check_keys("params of the cell", flat, keys, hint)
    in_names, out_names = kernels[: len(kernels) // 2], kernels[len(kernels) // 2 :]
    input_size, hidden_size = flat[f"{in_names[0]}.kernel"].shape
    shapes = {f"{name}.kernel": (input_size, hidden_size) for name in in_names}
    shapes |= {f"{name}.kernel": (hidden_size, hidden_size) for name in out_names}
    check_shapes("params of the cell", flat, shapes | {f"{n}.bias": (hidden_size,) for n in biases})

    def joined(names, leaf):
        return np.concatenate([flat[f"{name}.{leaf}"] for name in names], axis=-1)

    w_x, w_h = joined(in_names, "kernel"), joined(out_names, "kernel")
    if cell == GRU:
        b = joined(biases[:3], "bias")
        return make_params(cell, w_x=w_x, w_h=w_h, b=b, b_hn=flat["hn.bias"])
    return make_params(cell, w_x=w_x, w_h=w_h, b=joined(biases, "bias"))


def _to_linen_cell(cell: Any, cell_params: Any) -> dict[str, np.ndarray]:
    name = cell_name(cell, "flax.linen", ["ELMAN", "GRU", "LSTM"])
    if name == "ELMAN":
        return {"i.kernel": cell_params.w_x, "i.bias": cell_params.b, "h.kernel": cell_params.w_h}
    gates, bias_side = (LSTM_GATES, "h") if name == "LSTM" else (GRU_GATES, "i")
    flat = {f"i{gate}.kernel": block for gate, block in blocks(cell_params.w_x, gates).items()}
    flat |= {f"h{gate}.kernel": block for gate, block in blocks(cell_params.w_h, gates).items()}
    flat |= {
        f"{bias_side}{gate}.bias": block for gate, block in blocks(cell_params.b, gates).items()
    }
    return flat | ({"hn.bias": cell_params.b_hn} if name == "GRU" else {})
