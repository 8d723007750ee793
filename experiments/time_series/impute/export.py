"""An imputer for export.

Inputs are `values` `[B, T, D]` as they were measured, NaN where one is missing, and `lengths`
`[B]`. Outputs are `filled` `[B, T, D]`, the same with estimates where one is missing, and
`estimates` `[B, T, D]` of every value, none of which was used for its own; 0 in padding. The scale
of training is in the graph. Read a table in windows of the length of training.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import bidirectional, scan_cell
from birnn_jax.interop.onnx import Graph, add_mask, add_scan_cell
from birnn_jax.interop.stablehlo import Input
from experiments.runner.export.exported import (
    Answers,
    Arrays,
    Card,
    Exported,
    Part,
    Test,
    add_inputs,
)
from experiments.runner.run.folder import RunFolder
from experiments.time_series.impute.brits import BRITS
from experiments.time_series.impute.data import read_parts
from experiments.time_series.impute.model import FEATURES, TrainedImputer, load_imputer

CARD = Card(
    title="Imputer of a table",
    task="time-series-forecasting",
    summary="A recurrent network after BRITS, which fills in what is missing in a table of "
    "measurements, from what was measured before and after.",
    use="Filling gaps in tables with the columns of training, read in windows of its length.",
    limits="Estimates have no measure of uncertainty. In long gaps of all columns at once they are "
    "close to the average.",
    metrics=("mae", "mse"),
)
load = load_imputer


def exported(folder: RunFolder) -> Exported:
    """The imputer of a run."""
    imputer = load_imputer(folder)
    inputs = {
        "values": Input(f"batch, time, {len(imputer.names)}"),
        "lengths": Input("batch", jnp.int32),
    }

    def read_test() -> Test:
        windows = read_parts(imputer.config).windows["test"]
        values = np.where(windows.seen, imputer.scale.restore(windows.values), np.nan)
        lengths = np.full(len(values), values.shape[1], np.int32)

        def test(answers: Answers) -> dict[str, float]:
            found = answers["model"]({"values": values.astype(np.float32), "lengths": lengths})
            estimates = imputer.scale.standardise(found["estimates"])
            errors = (estimates - windows.values)[windows.hidden]
            return {"mae": float(np.abs(errors).mean()), "mse": float((errors**2).mean())}

        return test

    return Exported(
        parts={
            "model": Part(
                functools.partial(add_imputer, imputer, inputs),
                functools.partial(impute, imputer),
                inputs,
            )
        },
        params=imputer.params,
        vocabulary={"columns": list(imputer.names)},
        card=CARD,
        preprocessing={"steps": imputer.config.steps},
        files=[FEATURES],
        read_test=read_test,
    )


def add_imputer(imputer: TrainedImputer, inputs: dict[str, Input], graph: Graph) -> None:
    """Fills the graph."""
    names = add_inputs(graph, inputs)
    values, lengths = names["values"], names["lengths"]
    mean, deviation = (graph.constant(part.astype(np.float32)) for part in imputer.scale)
    zero = graph.constant(np.float32(0))
    missing = graph.op("IsNaN", values)
    scaled = graph.op("Div", graph.op("Sub", values, mean), deviation)
    scaled = graph.op("Where", missing, zero, scaled)
    seen = graph.cast(graph.op("Not", missing), np.float32)
    xs = graph.op("Concat", scaled, seen, axis=2)
    mixed = []
    for reverse in _reverses(imputer):
        params = imputer.params.bwd if reverse else imputer.params.fwd
        options = {"input_size": 2 * len(imputer.names), "reverse": reverse}
        _, estimates = add_scan_cell(graph, BRITS, params, xs, lengths, **options)
        mixed.append(estimates.mixed)
    found = mixed[0]
    if len(mixed) == 2:
        found = graph.op("Mul", graph.op("Add", *mixed), graph.constant(np.float32(0.5)))
    found = graph.op("Add", graph.op("Mul", found, deviation), mean)
    mask = add_mask(graph, values, lengths)
    filled = graph.op("Where", missing, found, values)
    for name, value in (("filled", filled), ("estimates", found)):
        shape = ["batch", "time", len(imputer.names)]
        graph.output(name, graph.op("Where", mask, value, zero), shape=shape)


def impute(imputer: TrainedImputer, inputs: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    values, lengths = inputs["values"], inputs["lengths"]
    mean, deviation = (jnp.asarray(part, jnp.float32)[None, None] for part in imputer.scale)
    missing = jnp.isnan(values)
    scaled = jnp.where(missing, 0, (values - mean) / deviation)
    xs = jnp.concatenate([scaled, (~missing).astype(scaled.dtype)], axis=-1)
    params = imputer.params
    if imputer.config.direction == "both":
        both: Any = bidirectional(BRITS, params, xs, lengths, merge="none")[1]
        found = [both.fwd, both.bwd]
    else:
        (reverse,) = _reverses(imputer)
        own = params.bwd if reverse else params.fwd
        ys: Any = scan_cell(BRITS, own, xs, lengths, reverse=reverse)[1]
        found = [ys]
    mixed = jnp.mean(jnp.stack([estimates.mixed for estimates in found]), axis=0)
    restored = mixed * deviation + mean
    valid = (jnp.arange(values.shape[1])[None] < lengths[:, None])[..., None]
    filled = jnp.where(missing, restored, values)
    return jax.tree.map(
        lambda value: jnp.where(valid, value, 0), {"filled": filled, "estimates": restored}
    )


def _reverses(imputer: TrainedImputer) -> list[bool]:
    direction = imputer.config.direction
    return [False, True] if direction == "both" else [direction == "bwd"]
