"""Recurrent nodes of ONNX models: their names, attributes and constant inputs."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._errors import framework
from ._files import check_kind, damage_told

_OPERATORS = ("RNN", "GRU", "LSTM")
_INPUTS = {1: "W", 2: "R", 3: "B", 7: "P"}  # by their places
_INITIAL = {5: "initial_h", 6: "initial_c"}


def load_model(source: Any) -> Any:
    """An `onnx.ModelProto`, or the one in a file."""
    if not isinstance(source, str | os.PathLike):
        if not hasattr(source, "graph"):
            raise ValueError(
                "from_onnx_model takes an onnx.ModelProto or the path of a file, got "
                f"{type(source).__name__}. from_onnx takes a node with its weights."
            )
        return source
    onnx = framework("onnx", "'birnn-jax[onnx]'", "A file of ONNX")
    check_kind(source, ["unknown"], "from_onnx_model", "models of ONNX")
    decode_error = framework(
        "google.protobuf.message", "'birnn-jax[onnx]'", "A file of ONNX"
    ).DecodeError
    with damage_told(source, decode_error, onnx.checker.ValidationError):
        model = onnx.load(os.fspath(source))
    if not model.graph.node:
        raise ValueError(f"{os.fspath(source)} is no model of ONNX, or one without operators.")
    return model


def choose_nodes(model: Any, names: str | Sequence[str] | None) -> list[Any]:
    """The recurrent nodes with these names, which are those of the nodes or of their outputs."""
    nodes = [node for node in model.graph.node if _is_recurrent(node)]
    known = {name: node for node in nodes for name in [node.name, *node.output] if name}
    wanted = [names] if isinstance(names, str) else names
    if not nodes:
        others = sorted({node.op_type for node in model.graph.node})
        raise ValueError(
            f"The model has no operator RNN, GRU or LSTM; it has {', '.join(others)}. PyTorch's "
            "default exporter writes an nn.RNN step by step: export it with dynamo=False, or give "
            "the module to birnn_jax.interop.torch.from_torch."
        )
    if (wanted is None and len(nodes) > 1) or any(name not in known for name in wanted or []):
        shown = [node.name or _first_output(node) for node in nodes]
        raise ValueError(
            f"The model has the recurrent nodes {shown}, got names={names!r}. Give the names of the"
            " nodes to convert, from the bottom to the top."
        )
    return nodes if wanted is None else [known[name] for name in wanted]


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node, as Python has them."""
    onnx = framework("onnx", "'birnn-jax[onnx]'", "A node of ONNX")
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def inputs_of(node: Any) -> dict[str, str]:
    """The names of the values that a node has for W, R, B and P, those that are there."""
    return {key: node.input[at] for at, key in _INPUTS.items() if _has_input(node, at)}


def constant_inputs(model: Any, node: Any) -> dict[str, np.ndarray]:
    """The values of W, R, B and P by their names in the graph; all of them are constant."""
    values = {name: _constant(model, name) for name in inputs_of(node).values()}
    if varying := [name for name, value in values.items() if value is None]:
        raise ValueError(
            f"The weights {varying} of the node {node.name or _first_output(node)!r} are computed "
            "from the inputs of the model, so they are no parameters."
        )
    return {name: value for name, value in values.items() if value is not None}


def constant_states(model: Any, node: Any) -> dict[str, np.ndarray]:
    """The states that a node always starts from, `h` and `c` `[directions, H]`; none if zeros.

    Raises:
      ValueError: if rows start from states of their own.
    """
    layout = attributes_of(node).get("layout", 0)
    states = {}
    for at, key in [*_INITIAL.items()][: 2 if node.op_type == "LSTM" else 1]:
        value = _constant(model, node.input[at]) if _has_input(node, at) else None
        if value is None or not np.any(value != 0):
            continue
        value = value.swapaxes(0, 1) if layout else value  # [directions, B, H]
        if np.any(value != value[:, :1]):
            raise ValueError(
                f"The rows of the node {node.name or _first_output(node)!r} start from an {key} "
                "each of their own. Convert it by from_onnx, and give the states to `stack` as "
                "initial_carry."
            )
        states[key.removeprefix("initial_")] = value[:, 0]
    if node.op_type != "LSTM" or not states:
        return states
    zeros = np.zeros_like(next(iter(states.values())))
    return {name: states.get(name, zeros) for name in ("h", "c")}


def _constant(model: Any, name: str) -> np.ndarray | None:
    """The value with this name, computed if need be; None if it depends on an input."""
    onnx = framework("onnx", "'birnn-jax[onnx]'", "A model of ONNX")
    stored = {entry.name: entry for entry in model.graph.initializer}
    if name in stored:
        return onnx.numpy_helper.to_array(stored[name])
    made_at = {out: at for at, node in enumerate(model.graph.node) for out in node.output}
    places, names, pending = set(), set(), [name]
    while pending:
        current = pending.pop()
        if current in names or not current:
            continue
        names.add(current)
        if current in made_at:
            places.add(made_at[current])
            pending += model.graph.node[made_at[current]].input
        elif current not in stored:
            return None
    graph = onnx.helper.make_graph(
        [model.graph.node[at] for at in sorted(places)],
        "constant",
        [],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None)],
        [stored[needed] for needed in stored.keys() & names],
    )
    part = onnx.helper.make_model(
        graph, opset_imports=model.opset_import, functions=model.functions
    )
    reference = framework("onnx.reference", "'birnn-jax[onnx]'", "A model of ONNX")
    return reference.ReferenceEvaluator(part).run([name], {})[0]


def _is_recurrent(node: Any) -> bool:
    return node.op_type in _OPERATORS and node.domain in ("", "ai.onnx")


def _has_input(node: Any, at: int) -> bool:
    return len(node.input) > at and bool(node.input[at])


def _first_output(node: Any) -> str:
    return next(name for name in node.output if name)
