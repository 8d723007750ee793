"""States of a stack as inputs and outputs of a graph, and as the carries of JAX that they are."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import Layer
from birnn_jax.interop.onnx import Graph
from birnn_jax.interop.stablehlo import Input
from birnn_jax.stacks import LayerParams
from experiments.runner.export.exported import Arrays


def state_inputs(layers: Sequence[Layer], params: Sequence[LayerParams]) -> dict[str, Input]:
    """The states before the first step, `initial_h_LAYER` and so on: `[B, 1, H]`.

    For layers of one direction, the cells of which carry vectors.
    """
    return {
        f"initial_{name}_{index}": Input(f"batch, 1, {size}")
        for index, shapes in enumerate(_shapes(layers, params))
        for name, size in shapes.items()
    }


def carries_of(
    layers: Sequence[Layer], params: Sequence[LayerParams], inputs: Arrays
) -> tuple[Any, ...]:
    """The carries of JAX, leaves `[B, H]`."""
    return tuple(
        _carry(layer, own)._replace(
            **{name: inputs[f"initial_{name}_{index}"][:, 0] for name in shapes}
        )
        for index, (layer, own, shapes) in enumerate(
            zip(layers, params, _shapes(layers, params), strict=True)
        )
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


def _carry(layer: Layer, params: LayerParams) -> Any:
    return jax.eval_shape(layer.cells.fwd.init_carry, params.rnn)


def _shapes(layers: Sequence[Layer], params: Sequence[LayerParams]) -> list[dict[str, int]]:
    carries = [_carry(*pair) for pair in zip(layers, params, strict=True)]
    return [{name: getattr(carry, name).shape[0] for name in carry._fields} for carry in carries]
