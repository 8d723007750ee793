"""States of a stack as inputs and outputs of a graph, and as the carries of JAX that they are."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import Layer
from birnn_jax.interop.onnx import Graph
from birnn_jax.interop.stablehlo import Input
from birnn_jax.stacks import LayerParams
from experiments.runner.export.exported import Arrays


def state_names(
    layers: Sequence[Layer], params: Sequence[LayerParams]
) -> tuple[dict[str, str], ...]:
    """The inputs `initial_h_LAYER` and so on of each layer, by the fields of its carry.

    For layers of one direction, the cells of which carry vectors.
    """
    return tuple(
        {name: f"initial_{name}_{index}" for name in carry._fields}
        for index, carry in enumerate(_carries(layers, params))
    )


def state_inputs(layers: Sequence[Layer], params: Sequence[LayerParams]) -> dict[str, Input]:
    """The states before the first step, `[B, 1, H]`."""
    return {
        name: Input(f"batch, 1, {getattr(carry, field).shape[0]}")
        for names, carry in zip(state_names(layers, params), _carries(layers, params), strict=True)
        for field, name in names.items()
    }


def zeros_of(inputs: Mapping[str, Input], rows: int) -> dict[str, np.ndarray]:
    """The states before the first step of a new sequence, by the names of `state_inputs`."""
    return {
        name: np.zeros([rows, 1, int(shape.rpartition(" ")[2])], np.float32)
        for name, (shape, _) in inputs.items()
    }


def carries_of(
    layers: Sequence[Layer], params: Sequence[LayerParams], inputs: Arrays
) -> tuple[Any, ...]:
    """The carries of JAX, leaves `[B, H]`."""
    return tuple(
        carry._replace(**{field: inputs[name][:, 0] for field, name in names.items()})
        for names, carry in zip(state_names(layers, params), _carries(layers, params), strict=True)
    )


def named_carries(carries: Sequence[Any]) -> dict[str, jax.Array]:
    """Carries by the names of the outputs, `h_LAYER` and so on: `[B, 1, H]`."""
    return {
        f"{name}_{index}": jnp.asarray(getattr(carry, name))[:, None]
        for index, carry in enumerate(carries)
        for name in carry._fields
    }


def add_one_hot(graph: Graph, tokens: str, size: int) -> str:
    """Adds the one-hot vectors `[..., size]` of integers; of others, zeros."""
    classes = graph.constant(np.arange(size, dtype=np.int32))
    spread = graph.op("Unsqueeze", tokens, graph.constant(np.array([-1])))
    return graph.cast(graph.op("Equal", spread, classes), np.float32)


def _carries(layers: Sequence[Layer], params: Sequence[LayerParams]) -> list[Any]:
    """The carry of each layer, its leaves `[H]` without values."""
    return [
        jax.eval_shape(layer.cells.fwd.init_carry, own.rnn)
        for layer, own in zip(layers, params, strict=True)
    ]
