"""Builds an ONNX graph value by value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._errors import framework

OPSET, IR_VERSION = 18, 8  # read by ONNX Runtime from 1.14 on


class Graph:
    """A graph under construction; values are known by the names that its methods return.

    Example:
      A model with an embedding of its own, for `onnxruntime`:

          graph = Graph()
          tokens = graph.input("tokens", np.int64, ["batch", "time"])
          lengths = graph.input("lengths", np.int32, ["batch"])
          xs = graph.op("Gather", graph.constant(embedding), tokens)
          _, ys = add_stack(graph, layers, params.rnn, xs, lengths)
          graph.output("logits", add_projection(graph, ys, params.w, params.b), rank=3)
          onnx.save(graph.model(), "tagger.onnx")
    """

    def __init__(self) -> None:
        """Starts with nothing."""
        self._onnx = framework("onnx", "'birnn-jax[onnx]'", "Export to ONNX")
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, dtype: Any, shape: Sequence[str | int]) -> str:
        """An input; sizes that are words may differ from call to call."""
        self._inputs.append(self._value_info(name, dtype, shape))
        return name

    def output(self, name: str, value: str, *, rank: int, dtype: Any = np.float32) -> None:
        """Names a value as an output."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        shape = [f"{name}_{axis}" for axis in range(rank)]
        self._outputs.append(self._value_info(name, dtype, shape))

    def constant(self, array: Any) -> str:
        """An array of the model; floats are stored as float32, in which ONNX Runtime computes."""
        array = np.asarray(array)
        if array.dtype.kind not in "biu":
            array = array.astype(np.float32)
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """The output of an operator that has one."""
        return self.ops(op_type, 1, *inputs, **attributes)[0]

    def ops(self, op_type: str, num_outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """The outputs of an operator; an input that is left out is the empty name."""
        start = f"{op_type}_{len(self._nodes)}"
        names = [f"{start}_{index}" for index in range(num_outputs)]
        node = self._onnx.helper.make_node(op_type, list(inputs), names, **attributes)
        self._nodes.append(node)
        return names

    def model(self, metadata: Mapping[str, str] | None = None) -> Any:
        """The checked model, an `onnx.ModelProto`; texts in `metadata` travel with it."""
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes, "birnn_jax", self._inputs, self._outputs, self._constants
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(
            graph, producer_name="birnn_jax", opset_imports=[opset], ir_version=IR_VERSION
        )
        helper.set_model_props(model, dict(metadata or {}))
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _value_info(self, name: str, dtype: Any, shape: Sequence[str | int]) -> Any:
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, kind, list(shape))
