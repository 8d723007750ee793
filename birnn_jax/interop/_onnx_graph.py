"""Builds an ONNX graph value by value."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ._errors import framework

OPSET = 18  # read by ONNX Runtime from 1.14 on
_OLDEST = 17  # the first with LayerNormalization
_AXES_AS_INPUT = 18  # of every reduction; before, of sums alone

StepFn = Callable[["Graph", list[str], list[str]], tuple[Sequence[str], Sequence[str]]]


class Graph:
    """A graph under construction; values are known by the names that its methods return.

    Args:
      opset: version of the operators, from 17 on; 18 is read by ONNX Runtime from 1.14 on.

    Raises:
      ValueError: for a version that the package onnx has not, or that is too old.

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

    def __init__(self, opset: int = OPSET) -> None:
        """Starts with nothing."""
        self._onnx = framework("onnx", "'birnn-jax[onnx]'", "Export to ONNX")
        newest = self._onnx.defs.onnx_opset_version()
        if not _OLDEST <= opset <= newest:
            raise ValueError(
                f"opset must be from {_OLDEST} to {newest}, the newest of onnx "
                f"{self._onnx.__version__}, got {opset}."
            )
        self.opset = opset
        self._prefix = ""
        self._nodes: list[Any] = []
        self._constants: dict[Any, Any] = {}  # by their content
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, dtype: Any, shape: Sequence[str | int]) -> str:
        """An input; sizes that are words may differ from call to call."""
        self._inputs.append(self._value_info(name, dtype, shape))
        return name

    def output(
        self,
        name: str,
        value: str,
        *,
        rank: int | None = None,
        shape: Sequence[str | int] | None = None,
        dtype: Any = np.float32,
    ) -> None:
        """Names a value as an output, of a rank or of a shape; sizes in it may be words."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        sizes = shape if shape is not None else [f"{name}_{axis}" for axis in range(rank or 0)]
        self._outputs.append(self._value_info(name, dtype, sizes))

    def constant(self, array: Any) -> str:
        """An array of the model; floats are stored as float32, in which ONNX Runtime computes."""
        array = np.asarray(array)
        if array.dtype.kind not in "biu":
            array = array.astype(np.float32)
        content = (array.dtype.str, array.shape, array.tobytes())
        if content not in self._constants:
            name = f"constant_{len(self._constants)}"
            self._constants[content] = self._onnx.numpy_helper.from_array(array, name)
        return self._constants[content].name

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """The output of an operator that has one."""
        return self.ops(op_type, 1, *inputs, **attributes)[0]

    def ops(self, op_type: str, num_outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """The outputs of an operator; an input that is left out is the empty name."""
        start = f"{self._prefix}{op_type}_{len(self._nodes)}"
        names = [f"{start}_{index}" for index in range(num_outputs)]
        node = self._onnx.helper.make_node(op_type, list(inputs), names, **attributes)
        self._nodes.append(node)
        return names

    def reduce(self, op_type: str, value: str, *axes: int, keepdims: bool = False) -> str:
        """A reduction over axes, such as "ReduceMax", in whichever way the opset writes it."""
        if op_type == "ReduceSum" or self.opset >= _AXES_AS_INPUT:
            axes_input = self.constant(np.array(axes))
            return self.op(op_type, value, axes_input, keepdims=int(keepdims))
        return self.op(op_type, value, axes=list(axes), keepdims=int(keepdims))

    def cast(self, value: str, dtype: Any) -> str:
        """The value in another dtype."""
        return self.op("Cast", value, to=self._kind(dtype))

    def scan(
        self,
        step: StepFn,
        carries: Sequence[tuple[str, Any]],
        xs: Sequence[tuple[str, Any]],
        *,
        reverse: bool = False,
    ) -> tuple[list[str], list[str]]:
        """A loop over the first axis, as `jax.lax.scan`.

        Args:
          step: `(graph, carries, xs) -> (carries, ys)`, lists of names; adds one step to the graph
            that it is given. Values of this graph are known in it, too.
          carries: of the values before the first step, names with dtypes.
          xs: of the values that are read step by step, names with dtypes.
          reverse: from the last step to the first; `ys` are in the order of `xs` all the same.

        Returns:
          carries: after the last step.
          ys: of all steps, which are the first axis.
        """
        helper, body = self._onnx.helper, self._body()
        inputs = [f"{body._prefix}in_{at}" for at in range(len(carries) + len(xs))]
        dtypes = [dtype for _, dtype in [*carries, *xs]]
        body._inputs = [
            helper.make_tensor_value_info(name, self._kind(dtype), None)
            for name, dtype in zip(inputs, dtypes, strict=True)
        ]
        after, ys = step(body, inputs[: len(carries)], inputs[len(carries) :])
        results = [body.op("Identity", name) for name in [*after, *ys]]
        outputs = [helper.make_empty_tensor_value_info(name) for name in results]
        name = body._prefix.removesuffix("_")
        graph = helper.make_graph(body._nodes, name, body._inputs, outputs)
        num_steps = self.op("Shape", xs[0][0], start=0, end=1)
        inputs = [self._with_a_step(name, dtype, num_steps) for name, dtype in xs]
        starts = [name for name, _ in carries]
        made = self.ops(
            "Scan",
            len(results),
            *starts,
            *inputs,
            body=graph,
            num_scan_inputs=len(xs),
            scan_input_directions=[int(reverse)] * len(xs),
            scan_output_directions=[int(reverse)] * len(ys),
        )
        some = self.op("Greater", num_steps, self.constant(np.array([0])))
        zero = self.constant(np.array([0]))
        finals = [
            self.op("Where", some, after, before)
            for after, before in zip(made, starts, strict=False)
        ]
        return finals, [self.op("Slice", y, zero, num_steps, zero) for y in made[len(carries) :]]

    def model(self, metadata: Mapping[str, str] | None = None) -> Any:
        """The checked model, an `onnx.ModelProto`; texts in `metadata` travel with it."""
        helper = self._onnx.helper
        used = set(_names_read(self._nodes))
        constants = [array for array in self._constants.values() if array.name in used]
        graph = helper.make_graph(self._nodes, "birnn_jax", self._inputs, self._outputs, constants)
        opset = helper.make_opsetid("", self.opset)
        model = helper.make_model(
            graph,
            producer_name="birnn_jax",
            opset_imports=[opset],
            ir_version=helper.find_min_ir_version_for([opset]),
        )
        helper.set_model_props(model, dict(metadata or {}))
        self._onnx.checker.check_model(model, full_check=True)
        return model

    def _with_a_step(self, value: str, dtype: Any, num_steps: str) -> str:
        """`value` with a step of zeros if it has none: ONNX Runtime refuses a loop over none."""
        missing = self.op("Sub", self.constant(np.array([1])), num_steps)
        missing = self.op("Max", missing, self.constant(np.array([0])))
        shape = self.op("Concat", missing, self.op("Shape", value, start=1), axis=0)
        zero = self._onnx.numpy_helper.from_array(np.zeros(1, dtype))
        filler = self.op("ConstantOfShape", shape, value=zero)
        return self.op("Concat", value, filler, axis=0)

    def _body(self) -> "Graph":
        """A graph inside this one: with nodes of its own, and the constants of this one."""
        body = Graph(self.opset)
        body._prefix = f"{self._prefix}body_{len(self._nodes)}_"
        body._constants = self._constants
        return body

    def _kind(self, dtype: Any) -> int:
        return self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def _value_info(self, name: str, dtype: Any, shape: Sequence[str | int]) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, self._kind(dtype), list(shape))


def _names_read(nodes: Sequence[Any]) -> Iterator[str]:
    """The names that nodes read, those of the graphs inside them too."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            yield from _names_read(attribute.g.node)
