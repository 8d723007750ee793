"""A JAX function of vectors, such as the step of a cell, as operators for a batch of rows.

The function is traced for one row. Each of its primitives becomes an operator over values with the
axis of rows in front; what depends on no input is computed here and becomes a constant.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ._onnx_graph import Graph

_SAME = {
    "abs": "Abs",
    "add": "Add",
    "add_any": "Add",
    "ceil": "Ceil",
    "cos": "Cos",
    "div": "Div",
    "eq": "Equal",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "log": "Log",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "neg": "Neg",
    "not": "Not",
    "pow": "Pow",
    "sign": "Sign",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "sub": "Sub",
    "tanh": "Tanh",
    "and": "And",
    "or": "Or",
}
_AS_IT_IS = {"copy", "copy_p", "optimization_barrier", "stop_gradient", "name"}
_REDUCTIONS = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax", "reduce_min": "ReduceMin"}


class _Rows(NamedTuple):
    """A value of every row: its name in the graph, `[B, *shape]`."""

    name: str
    shape: tuple[int, ...]


def add_function(graph: Graph, function: Callable[..., Any], *inputs: Any, rows: str) -> Any:
    """Adds a function of one row to a graph that has many.

    Args:
      graph: to add to.
      function: of arrays without an axis of rows; it returns a pytree of such arrays.
      *inputs: pytrees of pairs (name, shape without the axis of rows), all float32.
      rows: the name of the number of rows, `[1]` int64.

    Returns:
      What the function returns, names in place of arrays, `[B, ...]` each.

    Raises:
      ValueError: for an operation that is not known here.
    """
    leaves, structure = jax.tree.flatten(inputs, is_leaf=_is_input)
    shapes = [jax.ShapeDtypeStruct(shape, np.float32) for _, shape in leaves]
    closed, shape = jax.make_jaxpr(function, return_shape=True)(
        *jax.tree.unflatten(structure, shapes)
    )
    values = [_Rows(name, tuple(shape)) for name, shape in leaves]
    outputs = _Program(graph, rows).run(closed.jaxpr, closed.consts, values)
    return jax.tree.unflatten(jax.tree.structure(shape), outputs)


def _is_input(node: Any) -> bool:
    return isinstance(node, tuple) and len(node) == 2 and isinstance(node[0], str)


class _Program:
    """Writes the equations of a jaxpr."""

    def __init__(self, graph: Graph, rows: str) -> None:
        self._graph = graph
        self._rows = rows

    def run(self, jaxpr: Any, consts: Sequence[Any], values: Sequence[Any]) -> list[str]:
        """The names of the outputs."""
        outputs = self._equations(jaxpr, consts, values)
        return [self._of_every_row(value).name for value in outputs]

    def _equations(self, jaxpr: Any, consts: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        known: dict[Any, Any] = dict(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
        known |= dict(zip(jaxpr.invars, values, strict=True))

        def read(atom: Any) -> Any:
            return np.asarray(atom.val) if hasattr(atom, "val") else known[atom]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [read(atom) for atom in equation.invars])
            known |= dict(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, values: list[Any]) -> list[Any]:
        name, params = equation.primitive.name, equation.params
        shapes = [tuple(variable.aval.shape) for variable in equation.outvars]
        if inner := _inner(params):
            return self._equations(*inner, values)
        if not any(isinstance(value, _Rows) for value in values):
            found = equation.primitive.bind(*values, **params)
            found = found if equation.primitive.multiple_results else [found]
            return [np.asarray(value) for value in found]
        if name in _AS_IT_IS:
            return values
        if name == "split":
            sizes = self._graph.constant(np.array(params["sizes"]))
            value = self._name(values[0])
            made = self._graph.ops("Split", len(shapes), value, sizes, axis=params["axis"] + 1)
            return [_Rows(*pair) for pair in zip(made, shapes, strict=True)]
        (shape,) = shapes
        return [_Rows(self._operator(name, params, values, equation), shape)]

    def _operator(self, name: str, params: Any, values: list[Any], equation: Any) -> str:
        graph, op = self._graph, self._graph.op
        (shape,) = [tuple(variable.aval.shape) for variable in equation.outvars]
        if name in _SAME:
            return op(_SAME[name], *(self._aligned(value, shape) for value in values))
        if name in _REDUCTIONS:
            axes = [axis + 1 for axis in params["axes"]]
            return graph.reduce(_REDUCTIONS[name], self._name(values[0]), *axes)
        if name == "select_n":
            which, *cases = values
            return op("Where", self._aligned(which, shape), *map(self._name, reversed(cases)))
        if name == "concatenate":
            parts = [self._of_every_row(value).name for value in values]
            return op("Concat", *parts, axis=params["dimension"] + 1)
        if name == "dot_general":
            return self._product(values, params["dimension_numbers"])
        value = self._name(values[0])
        if name in ("reshape", "squeeze", "expand_dims"):
            return op("Reshape", value, graph.constant(np.array([0, *shape])))
        if name == "broadcast_in_dim":
            places = dict(zip(params["broadcast_dimensions"], values[0].shape, strict=True))
            sizes = [places.get(axis, 1) for axis in range(len(shape))]
            spread = op("Reshape", value, graph.constant(np.array([0, *sizes])))
            return op("Expand", spread, graph.constant(np.array([1, *shape])))
        if name == "transpose":
            return op("Transpose", value, perm=[0, *(at + 1 for at in params["permutation"])])
        if name == "slice":
            steps = params["strides"] or [1] * len(shape)
            axes = range(1, len(shape) + 1)
            bounds = params["start_indices"], params["limit_indices"], axes, steps
            return op("Slice", value, *(graph.constant(np.array([*part])) for part in bounds))
        if name == "ne":
            return op("Not", op("Equal", *(self._aligned(value, shape) for value in values)))
        if name == "integer_pow":
            return op("Pow", value, graph.constant(np.float32(params["y"])))
        if name == "square":
            return op("Mul", value, value)
        if name == "rsqrt":
            return op("Reciprocal", op("Sqrt", value))
        if name in ("expm1", "log1p"):
            one = graph.constant(np.float32(1))
            if name == "log1p":
                return op("Log", op("Add", value, one))
            return op("Sub", op("Exp", value), one)
        if name == "clamp":
            low, value, high = (self._aligned(value, shape) for value in values)
            return op("Min", op("Max", value, low), high)
        if name == "convert_element_type":
            return graph.cast(value, _stored(params["new_dtype"]))
        raise ValueError(
            f"The JAX operation {name} cannot be exported to ONNX here. "
            "birnn_jax.interop.stablehlo writes any function."
        )

    def _product(self, values: list[Any], dimensions: Any) -> str:
        """A vector or matrix of each row by a constant one, or two vectors of each row."""
        contracted, batched = dimensions
        ours = [isinstance(value, _Rows) for value in values]
        ranks = [len(value.shape) for value in values]
        axes = [sides[0] if len(sides) == 1 else None for sides in contracted]
        plain = not any(batched) and None not in axes
        if all(ours) and plain and ranks == [1, 1]:
            product = self._graph.op("Mul", *(value.name for value in values))
            return self._graph.reduce("ReduceSum", product, 1)
        at = ours.index(True)
        other = 1 - at
        if ours[other] or not plain or axes[at] != ranks[at] - 1 or ranks[other] > 2:
            raise ValueError(
                "A JAX product over these axes cannot be exported to ONNX here. "
                "birnn_jax.interop.stablehlo writes any function."
            )
        if at == 1 and ranks[at] > 1 and ranks[other] > 1:
            raise ValueError(
                "A JAX product whose first factor is a constant matrix cannot be exported to ONNX. "
                "birnn_jax.interop.stablehlo writes any function."
            )
        weights = np.moveaxis(values[other], axes[other], 0)  # pyright: ignore
        return self._graph.op("MatMul", values[at].name, self._graph.constant(weights))

    def _name(self, value: Any) -> str:
        return value.name if isinstance(value, _Rows) else self._graph.constant(_as_stored(value))

    def _aligned(self, value: Any, shape: tuple[int, ...]) -> str:
        """The name of a value beside others of this shape; it may be a scalar in each row."""
        name = self._name(value)
        if not isinstance(value, _Rows) or value.shape == shape:
            return name
        ones = self._graph.constant(np.array([0, *[1] * len(shape)]))
        return self._graph.op("Reshape", name, ones)

    def _of_every_row(self, value: Any) -> _Rows:
        """A constant as a value of every row."""
        if isinstance(value, _Rows):
            return value
        sizes = self._graph.constant(np.array(value.shape, np.int64))
        shape = self._graph.op("Concat", self._rows, sizes, axis=0)
        return _Rows(self._graph.op("Expand", self._name(value), shape), value.shape)


def _inner(params: Any) -> tuple[Any, Sequence[Any]] | None:
    """The program that an equation calls, and its constants, if it calls one."""
    for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
        if (inner := params.get(key)) is not None:
            return getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
    return None


def _stored(dtype: Any) -> Any:
    """The dtype in which the graph has what JAX has in this one."""
    return np.float32 if jax.numpy.issubdtype(dtype, np.floating) else np.dtype(dtype)


def _as_stored(value: np.ndarray) -> np.ndarray:
    return value.astype(_stored(value.dtype))
