"""Recurrent nodes of ONNX models: their names, attributes and constant inputs.

A node may stand in a branch of an `If`, or in another graph inside the graph. It sees the values of
all graphs around it, so it goes with them: a `Place`.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._errors import framework
from ._files import check_kind, damage_told

_OPERATORS = ("RNN", "GRU", "LSTM")
_INPUTS = {1: "W", 2: "R", 3: "B", 7: "P"}  # by their places
_INITIAL = {5: "initial_h", 6: "initial_c"}


class Place(NamedTuple):
    """A recurrent node, and the graphs whose values it sees."""

    node: Any
    graphs: tuple[Any, ...]  # from the outermost to the one that has the node

    @property
    def name(self) -> str:
        """Of the node, or of its first output where it has none."""
        return self.node.name or next(name for name in self.node.output if name)


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


def choose_nodes(model: Any, names: str | Sequence[str] | None) -> list[Place]:
    """The recurrent nodes with these names, which are those of the nodes or of their outputs."""
    places = [*_recurrent((model.graph,))]
    wanted = [names] if isinstance(names, str) else names
    if not places:
        others = sorted({node.op_type for node in model.graph.node})
        raise ValueError(
            f"The model has no operator RNN, GRU or LSTM; it has {', '.join(others)}. PyTorch's "
            "default exporter writes an nn.RNN step by step: export it with dynamo=False, or give "
            "the module to birnn_jax.interop.torch.from_torch. Keras 3 writes a GRU or a SimpleRNN "
            "as a Loop: give its .keras file to birnn_jax.interop.keras.from_keras."
        )
    if wanted is None and len(places) == 1:
        return places
    found = [
        [place for place in places if name in (place.node.name, *place.node.output)]
        for name in wanted or []
    ]
    if wanted is None or any(len(some) != 1 for some in found):
        raise ValueError(
            f"The model has the recurrent nodes {[place.name for place in places]}, got "
            f"names={names!r}. Give the names of the nodes to convert, from the bottom to the top."
        )
    return [place for (place,) in found]


def attributes_of(node: Any) -> dict[str, Any]:
    """The attributes of a node, as Python has them."""
    onnx = framework("onnx", "'birnn-jax[onnx]'", "A node of ONNX")
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def inputs_of(node: Any) -> dict[str, str]:
    """The names of the values that a node has for W, R, B and P, those that are there."""
    return {key: node.input[at] for at, key in _INPUTS.items() if _has_input(node, at)}


def constant_inputs(model: Any, place: Place) -> dict[str, np.ndarray]:
    """The values of W, R, B and P by their names in the graph; all of them are constant."""
    names = inputs_of(place.node).values()
    values = {name: _constant(model, place.graphs, name) for name in names}
    if varying := [name for name, value in values.items() if value is None]:
        raise ValueError(
            f"The weights {varying} of the node {place.name!r} are computed from the inputs of the "
            "model, so they are no parameters."
        )
    return {name: value for name, value in values.items() if value is not None}


def constant_states(model: Any, place: Place) -> dict[str, np.ndarray]:
    """The states that a node always starts from, `h` and `c` `[directions, H]`; none if zeros.

    Raises:
      ValueError: if rows start from states of their own.
    """
    node = place.node
    layout = attributes_of(node).get("layout", 0)
    states = {}
    for at, key in [*_INITIAL.items()][: 2 if node.op_type == "LSTM" else 1]:
        value = _constant(model, place.graphs, node.input[at]) if _has_input(node, at) else None
        if value is None or not np.any(value != 0):
            continue
        value = value.swapaxes(0, 1) if layout else value  # [directions, B, H]
        if np.any(value != value[:, :1]):
            raise ValueError(
                f"The rows of the node {place.name!r} start from an {key} each of their own. "
                "Convert it by from_onnx, and give the states to `stack` as initial_carry."
            )
        states[key.removeprefix("initial_")] = value[:, 0]
    if node.op_type != "LSTM" or not states:
        return states
    zeros = np.zeros_like(next(iter(states.values())))
    return {name: states.get(name, zeros) for name in ("h", "c")}


def _constant(model: Any, graphs: Sequence[Any], name: str) -> np.ndarray | None:
    """The value that these graphs have for a name, computed if need be.

    None if it depends on an input, of the model or of a graph inside it.
    """
    onnx = framework("onnx", "'birnn-jax[onnx]'", "A model of ONNX")
    stored = {entry.name: entry for graph in graphs for entry in graph.initializer}
    if name in stored:
        return onnx.numpy_helper.to_array(stored[name])
    nodes = [node for graph in graphs for node in graph.node]
    made_at = {out: at for at, node in enumerate(nodes) for out in node.output}
    places, names, pending = set(), set(), [name]
    while pending:
        current = pending.pop()
        if current in names or not current:
            continue
        names.add(current)
        if current in made_at:
            places.add(made_at[current])
            pending += _reads(nodes[made_at[current]])
        elif current not in stored:
            return None
    graph = onnx.helper.make_graph(
        [nodes[at] for at in sorted(places)],
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


def _recurrent(graphs: tuple[Any, ...]) -> Iterator[Place]:
    """The recurrent nodes of the last graph, and of those inside it."""
    for node in graphs[-1].node:
        if node.op_type in _OPERATORS and node.domain in ("", "ai.onnx"):
            yield Place(node, graphs)
        for inner in _inner_graphs(node):
            yield from _recurrent((*graphs, inner))


def _inner_graphs(node: Any) -> list[Any]:
    """The branches of an `If`, the body of a `Loop` or of a `Scan`."""
    own = [entry.g for entry in node.attribute if entry.HasField("g")]
    return own + [graph for entry in node.attribute for graph in entry.graphs]


def _reads(node: Any) -> set[str]:
    """The names of what a node reads, and the graphs inside it of those around them."""
    names = set(node.input)
    for graph in _inner_graphs(node):
        made = {out for inner in graph.node for out in inner.output}
        made |= {value.name for value in itertools.chain(graph.input, graph.initializer)}
        read = {value.name for value in graph.output}.union(*map(_reads, graph.node))
        names |= read - made
    return names


def _has_input(node: Any, at: int) -> bool:
    return len(node.input) > at and bool(node.input[at])
