"""The weights of ONNX's recurrent operators.

Gates are blocks of rows, i o f c in an LSTM and z r h in a GRU; the first axis is the direction. B
holds two biases, of input and of state; P the peepholes i o f.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from .._core.types import Bi, Cell
from .._stacks.layer import Layer, LayerParams
from ..cells import ELMAN, GRU, GRU_RESET_BEFORE, LSTM, PEEPHOLE_LSTM
from ._errors import check_keys, check_shapes
from ._layers import (
    GRU_GATES,
    LSTM_GATES,
    RELU,
    CellParams,
    Imported,
    as_numpy,
    cell_name,
    from_stack,
    make_params,
    reorder,
    to_stack,
)

# Of each cell: the operator, its number of gates, and the attributes that make it this cell.
OPERATORS = {
    "ELMAN": ("RNN", 1, {"activations": ["Tanh"]}),
    "RELU": ("RNN", 1, {"activations": ["Relu"]}),
    "GRU": ("GRU", 3, {"linear_before_reset": 1}),
    "GRU_RESET_BEFORE": ("GRU", 3, {"linear_before_reset": 0}),
    "LSTM": ("LSTM", 4, {}),
    "PEEPHOLE_LSTM": ("LSTM", 4, {}),
}
Operator = tuple[str, dict[str, np.ndarray], dict[str, Any]]  # type, inputs, attributes

_GATES = {"RNN": "h", "GRU": "zrn", "LSTM": "iofg"}
_OURS = {"RNN": "h", "GRU": GRU_GATES, "LSTM": LSTM_GATES}
_DIRECTIONS: dict[str, Literal["both", "fwd", "bwd"]] = {
    "forward": "fwd",
    "reverse": "bwd",
    "bidirectional": "both",
}


def from_onnx(op_type: str, weights: Mapping[str, Any], **attributes: Any) -> Imported:
    """A layer and its parameters from the inputs W, R, B and P of one operator.

    Args:
      op_type: "RNN", "GRU" or "LSTM".
      weights: by the names of the inputs; without "B" the bias is zero, "P" makes a peephole LSTM.
      **attributes: of the operator: direction, linear_before_reset, activations; what is left out
        is as ONNX has it by default. hidden_size may be given, and is in the weights.

    Raises:
      ValueError: if inputs are missing or surplus, shapes do not fit, or it has no cell here.

    Example:
      >>> from birnn_jax.interop.onnx import from_onnx
      >>> weights = {"W": jnp.ones([1, 12, 3]), "R": jnp.ones([1, 12, 4])}
      >>> layers, params = from_onnx("GRU", weights, linear_before_reset=1)
      >>> layers == (Layer(GRU, direction="fwd"),), params[0].rnn.w_h.shape
      (True, (4, 12))
    """
    arrays = {key: as_numpy(array) for key, array in weights.items()}
    check_keys(op_type, arrays, ["W", "R", *(key for key in "BP" if key in arrays)])
    direction = attributes.pop("direction", "forward")
    cell = _cell(op_type, "P" in arrays, attributes)
    num_directions, _, hidden_size = arrays["R"].shape
    rows = len(_GATES[op_type]) * hidden_size
    expected = 2 if direction == "bidirectional" else 1
    shapes = {"R": (expected, rows, hidden_size), "W": (expected, rows, arrays["W"].shape[-1])}
    shapes |= {"B": (expected, 2 * rows), "P": (expected, 3 * hidden_size)}
    check_shapes(op_type, arrays, {key: shape for key, shape in shapes.items() if key in arrays})
    arrays.setdefault("B", np.zeros((num_directions, 2 * rows), arrays["W"].dtype))
    cells = [
        _import_direction(op_type, cell, {key: array[index] for key, array in arrays.items()})
        for index in range(num_directions)
    ]
    layers, params = to_stack([Bi(*cells) if len(cells) == 2 else cells[0]])
    return (Layer(layers[0].cell, direction=_DIRECTIONS[direction]),), params


def to_onnx(layer: Layer, params: LayerParams) -> Operator:
    """The operator of a layer: its type, the inputs W, R, B and P, and its attributes.

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
    sizes = {one.w_h.shape for _, one in directions}
    if len(names) > 1 or len(sizes) > 1:
        raise ValueError(
            "A bidirectional operator of ONNX has one cell and one size for both directions, got "
            f"{sorted(names)} with w_h of shapes {sorted(sizes)}."
        )
    op_type, _, attributes = OPERATORS[names.pop()]
    exported = [_export_direction(op_type, one) for _, one in directions]
    weights = {key: np.stack([one[key] for one in exported]) for key in exported[0]}
    theirs = {ours: theirs for theirs, ours in _DIRECTIONS.items()}[direction]
    attributes = {"direction": theirs, "hidden_size": sizes.pop()[0], **attributes}
    if "activations" in attributes:
        attributes["activations"] = attributes["activations"] * len(directions)
    return op_type, weights, attributes


def _cell(op_type: str, has_peepholes: bool, attributes: Mapping[str, Any]) -> Cell:
    known = {"linear_before_reset", "activations", "hidden_size"}
    activations = {_text(name) for name in attributes.get("activations", [])}
    cells = {
        ("RNN", frozenset({"Tanh"})): ELMAN,
        ("RNN", frozenset({"Relu"})): RELU,
        ("GRU", frozenset({"Sigmoid", "Tanh"})): (
            GRU if attributes.get("linear_before_reset", 0) else GRU_RESET_BEFORE
        ),
        ("LSTM", frozenset({"Sigmoid", "Tanh"})): PEEPHOLE_LSTM if has_peepholes else LSTM,
    }
    default = {"Tanh"} if op_type == "RNN" else {"Sigmoid", "Tanh"}
    cell = cells.get((op_type, frozenset(activations or default)))
    if cell is None or set(attributes) - known:
        raise ValueError(
            f"There is no cell here for the operator {op_type} with the attributes "
            f"{dict(attributes)}: clip, input_forget, layout and other activations have none."
        )
    return cell


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _import_direction(op_type: str, cell: Cell, arrays: Mapping[str, np.ndarray]) -> CellParams:
    theirs, ours = _GATES[op_type], _OURS[op_type]
    b_x, b_h = (reorder(half, theirs, ours) for half in np.split(arrays["B"], 2))
    w_x, w_h = (reorder(arrays[key].T, theirs, ours) for key in "WR")
    if cell == GRU:
        start = 2 * w_h.shape[0]
        b = np.concatenate([(b_x + b_h)[:start], b_x[start:]])
        return make_params(cell, w_x=w_x, w_h=w_h, b=b, b_hn=b_h[start:])
    peepholes = {"w_c": reorder(arrays["P"], "iof", "ifo")} if cell == PEEPHOLE_LSTM else {}
    return make_params(cell, w_x=w_x, w_h=w_h, b=b_x + b_h, **peepholes)


def _export_direction(op_type: str, one: Any) -> dict[str, np.ndarray]:
    b_h = np.zeros_like(one.b)
    if hasattr(one, "b_hn"):
        b_h[-one.b_hn.size :] = one.b_hn
    theirs, ours = _GATES[op_type], _OURS[op_type]
    b = np.concatenate([reorder(half, ours, theirs) for half in (one.b, b_h)])
    weights = {key: reorder(w, ours, theirs).T for key, w in [("W", one.w_x), ("R", one.w_h)]}
    weights["B"] = b
    return weights | ({"P": reorder(one.w_c, "ifo", "iof")} if hasattr(one, "w_c") else {})
