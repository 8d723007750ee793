"""What the attributes of ONNX's recurrent operators say: directions, and the cell of each."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from .._core.types import Cell
from ..cells import COUPLED_LSTM, ELMAN, GRU, GRU_RESET_BEFORE, LSTM, PEEPHOLE_LSTM
from ._layers import RELU

DIRECTIONS: dict[str, Literal["both", "fwd", "bwd"]] = {
    "forward": "fwd",
    "reverse": "bwd",
    "bidirectional": "both",
}
# Activations of one direction; where an operator has several rows, the first is the default.
_ACTIVATIONS = {
    "RNN": {("tanh",): ELMAN, ("relu",): RELU},
    "GRU": {("sigmoid", "tanh"): GRU_RESET_BEFORE},
    "LSTM": {("sigmoid", "tanh", "tanh"): LSTM},
}
_NAMES = {"direction", "hidden_size", "activations", "activation_alpha", "activation_beta", "clip",
          "layout", "output_sequence"}  # fmt: skip
_NAMES_OF = {
    "RNN": _NAMES,
    "GRU": _NAMES | {"linear_before_reset"},
    "LSTM": _NAMES | {"input_forget"},
}


class Settings(NamedTuple):
    """What the attributes of an operator say."""

    direction: Literal["both", "fwd", "bwd"]
    cells: list[Cell]  # of each direction
    hidden_size: int | None


def read_attributes(op_type: str, has_peepholes: bool, attributes: Mapping[str, Any]) -> Settings:
    """The cells of an operator; ValueError for what no cell computes."""
    if op_type not in _ACTIVATIONS:
        raise ValueError(f"The recurrent operators of ONNX are RNN, GRU and LSTM, got {op_type!r}.")
    if unknown := sorted(attributes.keys() - _NAMES_OF[op_type]):
        raise ValueError(
            f"The operator {op_type} of ONNX has no attribute {', '.join(map(repr, unknown))}. It "
            f"has {', '.join(sorted(_NAMES_OF[op_type]))}."
        )
    clip = attributes.get("clip")
    if clip is not None and clip < np.finfo(np.float32).max:
        raise ValueError(
            f"The operator {op_type} has {clip=}, which bounds what goes into its activations. No "
            "cell here does that."
        )
    direction = _text(attributes.get("direction", "forward")).lower()
    if direction not in DIRECTIONS:
        raise ValueError(f"direction must be one of {', '.join(DIRECTIONS)}, got {direction!r}.")
    num_directions = 2 if direction == "bidirectional" else 1
    cells = [
        _variant(cell, has_peepholes, attributes)
        for cell in _cells(op_type, attributes.get("activations"), num_directions)
    ]
    return Settings(DIRECTIONS[direction], cells, attributes.get("hidden_size"))


def _cells(op_type: str, activations: Any, num_directions: int) -> list[Cell]:
    known = _ACTIVATIONS[op_type]
    default = [*next(iter(known))] * num_directions
    names = [_text(name) for name in activations or default]
    size = len(default) // num_directions
    lower = [name.lower() for name in names]  # ONNX Runtime does not mind either
    found = [known.get(tuple(lower[at : at + size])) for at in range(0, len(lower), size)]
    cells = [cell for cell in found if cell is not None]
    if len(names) != len(default) or len(cells) != num_directions:
        choices = " or ".join(str([*choice]) for choice in known)
        raise ValueError(
            f"The operator {op_type} has activations={names} for {num_directions} direction(s). "
            f"The cells here have {choices} in each direction, in this order."
        )
    return cells


def _variant(cell: Cell, has_peepholes: bool, attributes: Mapping[str, Any]) -> Cell:
    """The cell that further attributes and inputs make of it."""
    coupled = attributes.get("input_forget", 0)
    if coupled and has_peepholes:
        raise ValueError(
            "The operator LSTM has input_forget=1 and the input P: no cell here has coupled gates "
            "and peepholes."
        )
    if cell == GRU_RESET_BEFORE and attributes.get("linear_before_reset", 0):
        return GRU
    if cell == LSTM and (coupled or has_peepholes):
        return COUPLED_LSTM if coupled else PEEPHOLE_LSTM
    return cell


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
