"""A point as an ONNX model: one operator a layer and no more, neither lengths nor masks."""

import numpy as np
import onnx

from benchmarks._points import Point
from benchmarks.peers import Unsupported

OPSET = 17
GATES = [0, 3, 1, 2]  # of ours, i f g o, in the order of the operator, i o f g


def make_model(point: Point, weights: list, framework: str) -> onnx.ModelProto:
    """An LSTM, forward, of full rows; raises `Unsupported` for anything else."""
    if (point.cell, point.work, point.lengths, point.option) != ("lstm", "forward", False, ""):
        raise Unsupported(f"{framework} runs here as a server of full rows, an LSTM forward.")
    batch_size, num_steps, input_size, hidden_size = point.shape
    nodes = [onnx.helper.make_node("Transpose", ["xs"], ["ys_0"], perm=[1, 0, 2])]
    arrays = {"side_by_side": np.array([num_steps, batch_size, 2 * hidden_size])}
    for layer, pair in enumerate(weights):
        names = [f"{name}_{layer}" for name in ("w", "r", "b")]
        arrays |= dict(zip(names, _operator_weights(pair), strict=True))
        raw, turned = f"raw_{layer}", f"turned_{layer}"
        nodes += [
            onnx.helper.make_node(
                "LSTM",
                [f"ys_{layer}", *names],
                [raw],
                hidden_size=hidden_size,
                direction="bidirectional",
            ),
            onnx.helper.make_node("Transpose", [raw], [turned], perm=[0, 2, 1, 3]),
            onnx.helper.make_node("Reshape", [turned, "side_by_side"], [f"ys_{layer + 1}"]),
        ]
    last = f"ys_{len(weights)}"
    nodes.append(onnx.helper.make_node("Transpose", [last], ["ys"], perm=[1, 0, 2]))

    def declare(name: str, size: int) -> onnx.ValueInfoProto:
        shape = [batch_size, num_steps, size]
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    graph = onnx.helper.make_graph(
        nodes,
        "stack",
        [declare("xs", input_size)],
        [declare("ys", 2 * hidden_size)],
        [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=9
    )


def _operator_weights(pair: list[dict]) -> list[np.ndarray]:
    """W `[2, 4H, D]`, R `[2, 4H, H]`, and B `[2, 8H]` whose second half is zero."""
    biases = [np.concatenate([_turn(direction["b"]), 0 * direction["b"]]) for direction in pair]
    w, r = (np.stack([_turn(direction[name]) for direction in pair]) for name in ("w_x", "w_h"))
    return [w, r, np.stack(biases)]


def _turn(w: np.ndarray) -> np.ndarray:
    """`[4H, .]` from `[., 4H]`, with the gates in their order."""
    gates = np.split(w.T, 4)
    return np.concatenate([gates[gate] for gate in GATES])
