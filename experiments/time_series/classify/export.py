"""A classifier of series for export.

Inputs are `values` `[B, T, D]` as they were measured, NaN where nothing was, and `lengths` `[B]`;
outputs are `logits` `[B, K]` and `labels` `[B]`. The scale of training is in the graph.
"""

import functools

import jax.numpy as jnp
import numpy as np

from birnn_jax.interop.onnx import Graph, add_classifier
from birnn_jax.interop.stablehlo import Input
from experiments.runner.export.exported import (
    Answers,
    Arrays,
    Card,
    Exported,
    Part,
    Test,
    add_inputs,
    add_label,
)
from experiments.runner.run.folder import RunFolder
from experiments.time_series.classify.data import read_data
from experiments.time_series.classify.model import (
    PROBLEM,
    TrainedClassifier,
    load_classifier,
    score,
)

CARD = Card(
    title="Classifier of series",
    task="time-series-classification",
    summary="A bidirectional recurrent network over a series of measurements, and one label for "
    "all of it.",
    use="Labelling series of the same measurements, at the same rate, as those of training.",
    limits="Every series gets one of the classes of training, also a series of another kind.",
    metrics=("accuracy", "nearest_neighbour"),
)
load = load_classifier


def exported(folder: RunFolder) -> Exported:
    """The classifier of a run."""
    classifier = load_classifier(folder)
    config, problem = classifier.config, classifier.problem
    inputs = {
        "values": Input(f"batch, time, {len(problem.mean)}"),
        "lengths": Input("batch", jnp.int32),
    }

    def read_test() -> Test:
        _, series = read_data(config.train, config.test, config.reading())
        gold = problem.indices(series)

        def test(answers: Answers) -> dict[str, float]:
            found = [answers["model"](_inputs_of(item.values))["labels"] for item in series]
            return {"accuracy": float((np.concatenate(found) == gold).mean())}

        return test

    return Exported(
        parts={
            "model": Part(
                functools.partial(add_series_classifier, classifier, inputs),
                functools.partial(classify, classifier),
                inputs,
            )
        },
        params=classifier.params,
        vocabulary={"labels": problem.labels},
        card=CARD,
        files=[PROBLEM],
        read_test=read_test,
    )


def _inputs_of(values: np.ndarray) -> Arrays:
    lengths = np.array([len(values)], np.int32)
    return {"values": values[None].astype(np.float32), "lengths": lengths}


def add_series_classifier(
    classifier: TrainedClassifier, inputs: dict[str, Input], graph: Graph
) -> None:
    """Fills the graph."""
    names = add_inputs(graph, inputs)
    problem, model = classifier.problem, classifier.config.model
    mean, deviation = (
        graph.constant(np.array(part, np.float32)) for part in (problem.mean, problem.deviation)
    )
    scaled = graph.op("Div", graph.op("Sub", names["values"], mean), deviation)
    zero = graph.constant(np.float32(0))
    xs = graph.op("Where", graph.op("IsNaN", scaled), zero, scaled)
    logits, _ = add_classifier(
        graph, model.layers, classifier.params, xs, names["lengths"], readout=model.readout
    )
    graph.output("logits", logits, shape=["batch", len(problem.labels)])
    add_label(graph, logits)


def classify(classifier: TrainedClassifier, inputs: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    problem = classifier.problem
    mean, deviation = (
        jnp.array(part, jnp.float32)[None, None] for part in (problem.mean, problem.deviation)
    )
    scaled = (inputs["values"] - mean) / deviation
    values = jnp.where(jnp.isnan(scaled), 0, scaled)
    batch = {"values": values, "lengths": inputs["lengths"], "rows": inputs["lengths"]}
    logits = score(classifier.config.model, classifier.params, batch, key=None)
    return {"logits": logits, "labels": logits.argmax(axis=-1).astype(jnp.int32)}
