"""The operators of ONNX by its reference evaluator in float64, row by row: it ignores lengths.

There are no gradients in ONNX, so these files have none.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from . import HIDDEN_SIZE, INPUT_SIZE, Peer
from .flax_linen import states_of

_D, _H = INPUT_SIZE, HIDDEN_SIZE
_RANKS = {"B": 2, "P": 2, "Y": 4}


def _peer(op_type, gates, *names, peephole=False, **attributes):
    weights = {"W": (2, gates * _H, _D), "R": (2, gates * _H, _H), "B": (2, 2 * gates * _H)}
    weights |= {"P": (2, 3 * _H)} if peephole else {}
    inputs = ["X", "W", "R", "B", "", "initial_h", *(["initial_c"] if "c" in names else [])]
    inputs += ["P"] if peephole else []
    outputs = ["Y", *(f"Y_{name}" for name in names)]
    node = helper.make_node(
        op_type, inputs, outputs, hidden_size=_H, direction="bidirectional", **attributes
    )

    def value(name):
        dims = [f"{name}_{axis}" for axis in range(_RANKS.get(name, 3))]
        return helper.make_tensor_value_info(name, TensorProto.DOUBLE, dims)

    graph = helper.make_graph([node], op_type, [value(x) for x in inputs if x], map(value, outputs))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    onnx.checker.check_model(model)
    evaluator = ReferenceEvaluator(model)

    def run(weights, xs, lengths, initial):
        rows = []
        for row, length in enumerate(lengths):
            feeds = weights | {"X": xs[row, :length, None]}
            for name in names:
                pair = [initial[f"{d}.{name}"][row] for d in ["fwd", "bwd"]]
                feeds[f"initial_{name}"] = np.stack(pair)[:, None]
            ys, *final = evaluator.run(None, feeds)
            ys = np.concatenate([ys[:, 0, 0], ys[:, 1, 0]], axis=-1)
            padded = np.pad(ys, [(0, xs.shape[1] - length), (0, 0)])
            rows.append({"ys": padded} | {
                f"final.{d}.{name}": one[index, 0]
                for name, one in zip(names, final, strict=True)
                for index, d in enumerate(["fwd", "bwd"])
            })  # fmt: skip
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}

    return Peer(weights, states_of(*names), run, lambda *args: {})


PEERS = {
    "onnx_rnn": _peer("RNN", 1, "h"),
    "onnx_gru_reset_before": _peer("GRU", 3, "h", linear_before_reset=0),
    "onnx_gru": _peer("GRU", 3, "h", linear_before_reset=1),
    "onnx_lstm": _peer("LSTM", 4, "h", "c"),
    "onnx_lstm_peephole": _peer("LSTM", 4, "h", "c", peephole=True),
}
