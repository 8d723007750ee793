"""An infiller for export.

Inputs are `voices` `[B, T, 4]`, the keys from 0 to 87 of soprano, alto, tenor and bass, -1 for
silence, `hidden` `[B, T, 4]`, 1 where a note is to be filled in, and `lengths` `[B]`; the output is
`logits` `[B, T, 4, 88]`.
"""

import functools
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from birnn_jax.interop.onnx import Graph, add_projection, add_stack
from birnn_jax.interop.stablehlo import Input
from experiments.music.data import read_parts
from experiments.music.infill.data import VOICES, ways_to_hide
from experiments.music.infill.model import TrainedInfiller, load_infiller, score
from experiments.music.infill.report import flat_measures
from experiments.music.midi import KEYS, LOWEST
from experiments.runner.export.exported import (
    Answers,
    Arrays,
    Card,
    Exported,
    Part,
    Test,
    add_inputs,
)
from experiments.runner.export.states import add_one_hot
from experiments.runner.run.folder import RunFolder

_SHAPE = f"batch, time, {len(VOICES)}"
INPUTS = {
    "voices": Input(_SHAPE, jnp.int32),
    "hidden": Input(_SHAPE, jnp.int32),
    "lengths": Input("batch", jnp.int32),
}
CARD = Card(
    title="Infiller of four voices",
    task="other",
    summary="A bidirectional recurrent network that fills in notes of four voices from the notes "
    "around them.",
    use="Filling in a voice or a bar of a chorale, the most certain note first.",
    limits="Four voices at most, in the style of the training pieces.",
    metrics=("accuracy_voices", "accuracy_bars", "nats_voices", "nats_bars"),
)
load = load_infiller


def exported(folder: RunFolder) -> Exported:
    """The infiller of a run."""
    infiller = load_infiller(folder)
    part = Part(
        functools.partial(add_infiller, infiller), functools.partial(fill, infiller), INPUTS
    )

    def read_test() -> Test:
        config = infiller.config
        rolls = read_parts(config, config.reading())["test"]
        return functools.partial(_test, ways_to_hide(rolls, config.bar))

    return Exported(
        parts={"model": part},
        params=infiller.params,
        vocabulary={
            "voices": list(VOICES),
            "midi_numbers": list(range(LOWEST, LOWEST + KEYS)),
        },
        card=CARD,
        preprocessing={"bar": infiller.config.bar},
        read_test=read_test,
    )


def _test(ways: Mapping[str, Sequence[Arrays]], answers: Answers) -> dict[str, float]:
    measured = flat_measures({name: _measure(examples, answers) for name, examples in ways.items()})
    return {name: measured[name] for name in CARD.metrics}


def _measure(examples: Sequence[Arrays], answers: Answers) -> dict[str, float]:
    """Nats a hidden note and accuracy, as in training."""
    nats, right = [], []
    for example in examples:
        voices, counted = example["voices"], example["hidden"] & example["certain"]
        inputs = {name: example[name][None].astype(np.int32) for name in ("voices", "hidden")}
        lengths = np.array([len(voices)], np.int32)
        logits = np.asarray(answers["model"]({**inputs, "lengths": lengths})["logits"])[0][counted]
        wanted = voices[counted]
        nats.append(np.logaddexp.reduce(logits, axis=-1) - logits[np.arange(len(wanted)), wanted])
        right.append(logits.argmax(axis=-1) == wanted)
    return {
        "loss": float(np.concatenate(nats).mean()),
        "accuracy": float(np.concatenate(right).mean()),
    }


def add_infiller(infiller: TrainedInfiller, graph: Graph) -> None:
    """Fills the graph."""
    names = add_inputs(graph, INPUTS)
    params, count = infiller.params, len(VOICES)
    zero = graph.constant(np.int32(0))
    is_hidden = graph.op("Not", graph.op("Equal", names["hidden"], zero))
    last = graph.constant(np.array([3]))
    is_hidden = graph.op("Unsqueeze", is_hidden, last)  # [B, T, 4, 1]
    keys = add_one_hot(graph, names["voices"], KEYS)
    shown = graph.op("Where", is_hidden, graph.constant(np.float32(0)), keys)
    xs = graph.op("Concat", shown, graph.cast(is_hidden, np.float32), axis=3)
    steps = graph.op("Shape", names["voices"], start=0, end=2)

    def reshaped(value: str, *sizes: int) -> str:
        shape = graph.op("Concat", steps, graph.constant(np.array(sizes)), axis=0)
        return graph.op("Reshape", value, shape, allowzero=1)

    xs = reshaped(xs, count * (KEYS + 1))
    layers = infiller.config.model.layers
    _, ys = add_stack(graph, layers, params.rnn, xs, names["lengths"])
    logits = reshaped(add_projection(graph, ys, params.w, params.b), count, KEYS)
    graph.output("logits", logits, shape=["batch", "time", count, KEYS])


def fill(infiller: TrainedInfiller, inputs: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    hidden = inputs["hidden"] != 0
    model, params = infiller.config.model, infiller.params
    return {"logits": score(model, params, inputs["voices"], hidden, inputs["lengths"])}
