"""What an experiment provides to export its model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from birnn_jax.interop.onnx import Graph, add_mask
from birnn_jax.interop.stablehlo import Input

Arrays = Mapping[str, Any]


class Part(NamedTuple):
    """A function of a model, as an ONNX graph and in JAX."""

    fill: Callable[[Graph], None]
    """Adds inputs, operators and outputs to an empty graph."""
    function: Callable[[Arrays], Arrays]
    """The same in JAX: arrays by the names of the inputs to arrays by those of the outputs."""
    inputs: Mapping[str, Input]
    """The inputs of both."""
    constraints: Sequence[str] = ()
    """What the function of JAX takes for granted of sizes, such as "time >= 200"."""


class Card(NamedTuple):
    """What the model card says that only the experiment knows."""

    title: str
    task: str
    """As the Hub names it, such as "token-classification"."""
    summary: str
    """What the model reads, and what it gives."""
    use: str
    """What it may be used for."""
    limits: str
    """What it does not do, or does badly."""
    metrics: Sequence[str]
    """Those of result.json that matter."""
    language: str | None = None


Answers = Mapping[str, Callable[[Arrays], Arrays]]
"""What computes the parts of a model, by their names: from inputs to outputs."""
Test = Callable[[Answers], Mapping[str, float]]
"""Measures a model by what its parts answer."""


class Exported(NamedTuple):
    """A trained model."""

    parts: Mapping[str, Part]
    """By the names of their files, "model" where there is one."""
    params: Any
    vocabulary: Mapping[str, Any]
    """How inputs become numbers and numbers answers, in JSON; `labels` in the order of logits."""
    card: Card
    read_test: Callable[[], Test]
    """Reads the test data of the run, for measures of the model and of its other forms."""
    preprocessing: Mapping[str, Any] = {}
    """Further settings that a program needs before it calls the graph."""
    files: Sequence[str] = ()
    """Files of the run folder from which the model is loaded again."""


def add_inputs(graph: Graph, inputs: Mapping[str, Input]) -> dict[str, str]:
    """Adds the inputs of a part to its graph; returns their names by themselves."""
    for name, (shape, dtype) in inputs.items():
        sizes = [int(size) if size.isdigit() else size for size in shape.split(", ") if size]
        graph.input(name, dtype, sizes)
    return {name: name for name in inputs}


def add_label(graph: Graph, logits: str) -> None:
    """Adds the output `labels` `[B]` int32: the best label of each row of `[B, K]`."""
    labels = graph.cast(graph.op("ArgMax", logits, axis=1, keepdims=0), np.int32)
    graph.output("labels", labels, shape=["batch"], dtype=np.int32)


def add_labels(graph: Graph, logits: str, lengths: str) -> str:
    """Adds the best label of each step of `[B, T, K]`: `[B, T]` int32, -1 in padding."""
    mask = add_mask(graph, logits, lengths)
    mask = graph.op("Squeeze", mask, graph.constant(np.array([2])))
    best = graph.op("ArgMax", logits, axis=2, keepdims=0)
    labels = graph.op("Where", mask, best, graph.constant(np.int64(-1)))
    return graph.cast(labels, np.int32)
