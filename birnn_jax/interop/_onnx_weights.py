"""The weights of ONNX's recurrent operators.

Gates are blocks of rows, i o f c in an LSTM and z r h in a GRU; the first axis is the direction. B
holds two biases, of input and of state; P the peepholes i o f.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.types import Cell
from .._stacks.layer import Layer, LayerParams
from ..cells import COUPLED_LSTM, GRU, PEEPHOLE_LSTM
from ._errors import check_keys, check_shapes
from ._files import named_in_errors
from ._layers import (
    GRU_GATES,
    LSTM_GATES,
    CellParams,
    Imported,
    as_numpy,
    blocks,
    cell_name,
    from_stack,
    in_pair,
    make_carry,
    make_params,
    reorder,
    to_stack,
)
from ._onnx_attributes import DIRECTIONS, read_attributes
from ._onnx_nodes import (
    attributes_of,
    choose_nodes,
    constant_inputs,
    constant_states,
    inputs_of,
    load_model,
)

# Of each cell: the operator, its number of gates, and the attributes that make it this cell.
OPERATORS = {
    "ELMAN": ("RNN", 1, {"activations": ["Tanh"]}),
    "RELU": ("RNN", 1, {"activations": ["Relu"]}),
    "GRU": ("GRU", 3, {"linear_before_reset": 1}),
    "GRU_RESET_BEFORE": ("GRU", 3, {"linear_before_reset": 0}),
    "LSTM": ("LSTM", 4, {}),
    "PEEPHOLE_LSTM": ("LSTM", 4, {}),
    "COUPLED_LSTM": ("LSTM", 4, {"input_forget": 1}),
}
Operator = tuple[str, dict[str, np.ndarray], dict[str, Any]]  # type, inputs, attributes

_GATES = {"RNN": "h", "GRU": "zrn", "LSTM": "iofg"}
_OURS = {"RNN": "h", "GRU": GRU_GATES, "LSTM": LSTM_GATES}


def from_onnx(operator: Any, weights: Mapping[str, Any], **attributes: Any) -> Imported:
    """Converts one operator of ONNX into a layer and its parameters.

    Args:
      operator: "RNN", "GRU" or "LSTM", or a node of that type, an `onnx.NodeProto`.
      weights: by the names of the inputs, W, R, B and P; without "B" the bias is zero, "P" makes a
        peephole LSTM. For a node: by the names that the graph has for them.
      **attributes: of the operator, as ONNX names them and as `onnx.helper.get_attribute_value`
        gives them; what is left out is as ONNX has it by default. A node has its own.

    Returns:
      layers: one layer; `layout` makes no difference to it, since `stack` is batch first.
      params: of the layer, initial states not among them: they go into `stack`.

    Raises:
      ValueError: if inputs are missing or surplus, shapes do not fit, or it has no cell here.

    Example:
      >>> from birnn_jax.interop.onnx import from_onnx
      >>> weights = {"W": jnp.ones([1, 12, 3]), "R": jnp.ones([1, 12, 4])}
      >>> layers, params = from_onnx("GRU", weights, linear_before_reset=1)
      >>> layers == (Layer(GRU, direction="fwd"),), params[0].rnn.w_h.shape
      (True, (4, 12))
    """
    if isinstance(operator, str):
        op_type, arrays = operator, {key: as_numpy(array) for key, array in weights.items()}
    else:
        op_type, attributes = operator.op_type, attributes_of(operator) | attributes
        arrays = {key: as_numpy(weights[name]) for key, name in inputs_of(operator).items()}
    settings = read_attributes(op_type, "P" in arrays, attributes)
    check_keys(op_type, arrays, ["W", "R", *(key for key in "BP" if key in arrays)])
    num_directions, hidden_size = len(settings.cells), arrays["R"].shape[-1]
    if settings.hidden_size not in (None, hidden_size):
        raise ValueError(
            f"{op_type} has hidden_size={settings.hidden_size}, but its input R has {hidden_size}."
        )
    rows = len(_GATES[op_type]) * hidden_size
    shapes = {"R": (num_directions, rows, hidden_size)}
    shapes |= {"W": (num_directions, rows, arrays["W"].shape[-1])}
    shapes |= {"B": (num_directions, 2 * rows), "P": (num_directions, 3 * hidden_size)}
    check_shapes(op_type, arrays, {key: shape for key, shape in shapes.items() if key in arrays})
    arrays.setdefault("B", np.zeros(shapes["B"], arrays["W"].dtype))
    converted = [
        _import_direction(op_type, cell, {key: array[index] for key, array in arrays.items()})
        for index, cell in enumerate(settings.cells)
    ]
    (layer,), params = to_stack([in_pair(converted)])
    return (Layer(layer.cell, direction=settings.direction),), params


def from_onnx_model(source: Any, names: str | Sequence[str] | None = None) -> Imported:
    """Converts recurrent nodes of a model of ONNX into layers and parameters.

    What stands between the nodes is not converted: a mask, a norm, a change of the order of axes.
    Nodes in a branch of an `If`, or in another graph inside the graph, are found by their names.

    Args:
      source: an `onnx.ModelProto`, or the path of a file.
      names: of the nodes, from the bottom to the top, or one name; a node without a name goes by
        that of its first output. None is for a model with one recurrent node.

    Returns:
      layers: one for each node.
      params: of the layers. A node that always starts from the same states, not zeros, becomes a
        layer with a learned carry; states that are inputs of the model go into `stack`.

    Raises:
      ValueError: as `from_onnx`; if names are missing or unknown, if the weights are not constant,
        and if rows start from constant states each of their own.

    Example:
      The two layers of an LSTM that PyTorch exported:

          layers, params = from_onnx_model("model.onnx", ["node_LSTM_111", "node_LSTM_219"])
    """
    with named_in_errors(source):
        model = load_model(source)
        converted = [
            _with_states(
                from_onnx(place.node, constant_inputs(model, place)),
                constant_states(model, place),
            )
            for place in choose_nodes(model, names)
        ]
    layers = tuple(layer for found, _ in converted for layer in found)
    return layers, tuple(params for _, found in converted for params in found)


def _with_states(imported: Imported, states: Mapping[str, np.ndarray]) -> Imported:
    """A layer that has learned the states `[directions, H]` it starts from, if there are any."""
    if not states:
        return imported
    (layer,), (params,) = imported
    cells = layer.cells if layer.direction == "both" else layer.cells[:1]
    sides = [
        make_carry(cell, *(array[at] for array in states.values())) for at, cell in enumerate(cells)
    ]
    layer = dataclasses.replace(layer, learned_carry=True)
    return (layer,), (params._replace(initial=in_pair(sides)),)


def to_onnx(layer: Layer, params: LayerParams) -> Operator:
    """The operator of a layer: its type, the inputs W, R, B and P, and its attributes.

    In a graph of your own, guard it against a batch without rows, for which the LSTM and the GRU of
    ONNX Runtime 1.32 end the process; `stack_to_onnx` and `add_stack` do.

    Args:
      layer: of one direction or two, with nothing around its recurrence.
      params: of the layer.

    Raises:
      ValueError: for a cell that ONNX has not, directions that differ, or a layer with more.

    Example:
      >>> from birnn_jax.interop.onnx import to_onnx
      >>> layers = (Layer(GRU),)
      >>> params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
      >>> op_type, weights, attributes = to_onnx(layers[0], params[0])
      >>> op_type, weights["R"].shape, attributes["linear_before_reset"]
      ('GRU', (2, 12, 4), 1)
    """
    ((_, directions),) = from_stack([layer], [params])
    return export_operator(layer.direction, directions)


def export_operator(direction: str, directions: list[CellParams]) -> Operator:
    """The operator of the recurrence of a layer."""
    names = {cell_name(cell, "ONNX", OPERATORS) for cell, _ in directions}
    sizes = {cell_params.w_h.shape for _, cell_params in directions}
    if len(names) > 1 or len(sizes) > 1:
        raise ValueError(
            "A bidirectional operator of ONNX has one cell and one size for both directions, got "
            f"{sorted(names)} with w_h of shapes {sorted(sizes)}."
        )
    op_type, _, attributes = OPERATORS[names.pop()]
    coupled = "input_forget" in attributes
    exported = [
        _export_direction(op_type, cell_params, coupled=coupled) for _, cell_params in directions
    ]
    weights = {key: np.stack([cell_params[key] for cell_params in exported]) for key in exported[0]}
    theirs = {ours: theirs for theirs, ours in DIRECTIONS.items()}[direction]
    attributes = {"direction": theirs, "hidden_size": sizes.pop()[0], **attributes}
    if "activations" in attributes:
        attributes["activations"] = attributes["activations"] * len(directions)
    return op_type, weights, attributes


def _import_direction(op_type: str, cell: Cell, arrays: Mapping[str, np.ndarray]) -> CellParams:
    theirs, ours = _GATES[op_type], _OURS[op_type]
    b_x, b_h = (reorder(half, theirs, ours) for half in np.split(arrays["B"], 2))
    w_x, w_h = (reorder(arrays[key].T, theirs, ours) for key in "WR")
    if cell == COUPLED_LSTM:
        w_x, w_h, b = (_couple(array) for array in (w_x, w_h, b_x + b_h))
        return make_params(cell, w_x=w_x, w_h=w_h, b=b)
    if cell == GRU:
        start = 2 * w_h.shape[0]
        b = np.concatenate([(b_x + b_h)[:start], b_x[start:]])
        return make_params(cell, w_x=w_x, w_h=w_h, b=b, b_hn=b_h[start:])
    peepholes = {"w_c": reorder(arrays["P"], "iof", "ifo")} if cell == PEEPHOLE_LSTM else {}
    return make_params(cell, w_x=w_x, w_h=w_h, b=b_x + b_h, **peepholes)


def _couple(array: np.ndarray) -> np.ndarray:
    """Gates f g o from i f g o: ONNX couples f = 1 - i, here i is 1 - f."""
    gates = blocks(array, LSTM_GATES)
    return np.concatenate([-gates["i"], gates["g"], gates["o"]], axis=-1)


def _uncouple(array: Any) -> np.ndarray:
    """The inverse of `_couple`, zero where ONNX computes nothing."""
    gates = blocks(array, "fgo")
    return np.concatenate([-gates["f"], 0 * gates["f"], gates["g"], gates["o"]], axis=-1)


def _export_direction(op_type: str, params: Any, *, coupled: bool) -> dict[str, np.ndarray]:
    w_x, w_h, b = params.w_x, params.w_h, params.b
    if coupled:
        w_x, w_h, b = (_uncouple(array) for array in (w_x, w_h, b))
    b_h = np.zeros_like(b)
    if hasattr(params, "b_hn"):
        b_h[-params.b_hn.size :] = params.b_hn
    theirs, ours = _GATES[op_type], _OURS[op_type]
    weights = {key: reorder(array, ours, theirs).T for key, array in [("W", w_x), ("R", w_h)]}
    weights["B"] = np.concatenate([reorder(half, ours, theirs) for half in (b, b_h)])
    peepholes = {"P": reorder(params.w_c, "ifo", "iof")} if hasattr(params, "w_c") else {}
    return weights | peepholes
