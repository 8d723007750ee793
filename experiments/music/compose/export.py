"""A composer for export: it continues a chord frame by frame.

Inputs are `rolls` `[B, T, 88]` of 0 and 1, `lengths` `[B]`, and the states before the first frame,
`initial_h_LAYER` and so on, zeros at the beginning of a piece. Outputs are `logits` `[B, T, 88]` of
the frame after each, one for each key of a piano, and the states after the last frame.
"""

import functools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from birnn_jax.interop.onnx import Graph, add_final_carry, add_projection, add_stack
from birnn_jax.interop.stablehlo import Input
from experiments.music.compose.model import TrainedComposer, load_composer, score
from experiments.music.data import read_parts
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
from experiments.runner.export.states import (
    carries_of,
    named_carries,
    state_inputs,
    state_names,
    zeros_of,
)
from experiments.runner.run.folder import RunFolder

CARD = Card(
    title="Composer of polyphonic music",
    task="other",
    summary="A recurrent network that predicts the next chord of a piece, as a set of piano keys.",
    use="Continuing a chord in the style of the training pieces.",
    limits="It has no plan of a whole piece. Each key is scored independently; "
    "`experiments.music.compose.generate.draw_chord` draws chords of a bounded number of keys.",
    metrics=("nats", "loss"),
)
load = load_composer


def exported(folder: RunFolder) -> Exported:
    """The composer of a run."""
    composer = load_composer(folder)
    layers = composer.config.model.layers
    inputs = {"rolls": Input(f"batch, time, {KEYS}"), "lengths": Input("batch", jnp.int32)}
    states = state_inputs(layers, composer.params.rnn)
    inputs |= states

    def read_test() -> Test:
        rolls = read_parts(composer.config, composer.config.reading())["test"]
        rolls = [roll.astype(np.float32) for roll in rolls]
        return functools.partial(_test, rolls, zeros_of(states, 1))

    return Exported(
        parts={
            "model": Part(
                functools.partial(add_composer, composer, inputs),
                functools.partial(go_on, composer),
                inputs,
            )
        },
        params=composer.params,
        vocabulary={"midi_numbers": list(range(LOWEST, LOWEST + KEYS))},
        card=CARD,
        preprocessing={"frames_per_beat": composer.config.frames_per_beat},
        read_test=read_test,
    )


def _test(rolls: Sequence[np.ndarray], states: Arrays, answers: Answers) -> dict[str, float]:
    """Nats a frame, over every frame but the first of each piece."""
    nats = []
    for roll in rolls:
        inputs = {"rolls": roll[None, :-1], "lengths": np.array([len(roll) - 1], np.int32)}
        logits = answers["model"]({**inputs, **states})["logits"][0]
        nats.append((np.logaddexp(0, logits) - logits * roll[1:]).sum(axis=1))
    return {"nats": float(np.concatenate(nats).mean())}


def add_composer(composer: TrainedComposer, inputs: dict[str, Input], graph: Graph) -> None:
    """Fills the graph."""
    names = add_inputs(graph, inputs)
    layers, params = composer.config.model.layers, composer.params
    carry = state_names(layers, params.rnn)
    carries, ys = add_stack(
        graph, layers, params.rnn, names["rolls"], names["lengths"], initial_carry=carry
    )
    logits = add_projection(graph, ys, params.w, params.b)
    graph.output("logits", logits, shape=["batch", "time", KEYS])
    add_final_carry(graph, layers, params.rnn, carries)


def go_on(composer: TrainedComposer, inputs: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    model, params = composer.config.model, composer.params
    carry = carries_of(model.layers, params.rnn, inputs)
    carry, logits = score(model, params, inputs["rolls"], inputs["lengths"], carry=carry)
    return {"logits": logits, **named_carries(carry)}
