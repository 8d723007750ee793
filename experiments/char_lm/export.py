"""A language model for export: it scores text and generates it.

Inputs are `tokens` `[B, T]`, `lengths` `[B]`, and for a model that reads forwards the states before
the first character, `initial_h_LAYER` and so on, zeros at the beginning of a text. Outputs are
`logits` `[B, T, V]` of the character after each, and the states after the last, `h_LAYER` and so
on: with one character at a time they are the next `initial_h_LAYER`.
"""

import functools

import jax.numpy as jnp
import numpy as np

from birnn_jax.interop.onnx import Graph, add_final_carry, add_projection, add_stack
from birnn_jax.interop.stablehlo import Input
from experiments.characters.data import read_corpus
from experiments.characters.model import initial_carry, score
from experiments.characters.training import VOCABULARY, TrainedModel, load_model
from experiments.characters.windows import Whole
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
    add_one_hot,
    carries_of,
    named_carries,
    state_inputs,
    state_names,
    zeros_of,
)
from experiments.runner.run.folder import RunFolder

TOKENS = {"tokens": Input("batch, time", jnp.int32), "lengths": Input("batch", jnp.int32)}
CARD = Card(
    title="Language model over characters",
    task="text-generation",
    summary="A recurrent network that predicts the next character of a text.",
    use="Measuring how likely a text is, and writing text that looks like that of training.",
    limits="It knows the characters of its training text only. What it writes has no meaning, and "
    "it may repeat parts of a small text. A bidirectional model reads what it has to predict.",
    metrics=("perplexity", "bits", "held_out_perplexity", "held_out_bits"),
)
load = load_model


def exported(folder: RunFolder) -> Exported:
    """The language model of a run."""
    trained = load_model(folder)
    inputs = dict(TOKENS)
    states = {}
    if _has_states(trained):
        states = state_inputs(trained.model.layers, trained.params.rnn)
        inputs |= states

    def read_test() -> Test:
        config = trained.config
        options = {"characters": config.characters, "held_out": config.held_out}
        corpus = read_corpus(config.text, config.reading(), **options)
        text = corpus.vocabulary.decode(corpus.held_out if config.held_out else corpus.train)
        tokens = trained.vocabulary.encode(text, str(config.text))
        whole = Whole(tokens, steps=config.steps, batch_size=config.batch_size)[0]
        measure = "held_out_bits" if config.held_out else "bits"
        return functools.partial(_test, measure, whole, zeros_of(states, config.batch_size))

    return Exported(
        parts={
            "model": Part(
                functools.partial(add_language_model, trained, inputs),
                functools.partial(read, trained),
                inputs,
            )
        },
        params=trained.params,
        vocabulary={"labels": list(trained.vocabulary.characters)},
        card=CARD,
        files=[VOCABULARY],
        read_test=read_test,
    )


def _test(measure: str, windows: Arrays, states: Arrays, answers: Answers) -> dict[str, float]:
    """Bits a character, over every character but the first."""
    bits, number = 0.0, 0
    names = ("inputs", "labels", "lengths")
    for tokens, labels, lengths in zip(*(windows[name] for name in names), strict=True):
        inputs = {"tokens": tokens.astype(np.int32), "lengths": lengths.astype(np.int32)}
        found = answers["model"]({**inputs, **states})
        states = {name: found[name.removeprefix("initial_")] for name in states}
        logits = found["logits"]
        wanted = np.take_along_axis(logits, labels[..., None], axis=-1)[..., 0]
        nats = np.logaddexp.reduce(logits, axis=-1) - wanted
        valid = np.arange(tokens.shape[1]) < lengths[:, None]
        bits, number = bits + nats[valid].sum() / np.log(2), number + valid.sum()
    return {measure: float(bits / number)}


def _has_states(trained: TrainedModel) -> bool:
    """Whether states go in and come out."""
    return trained.model.direction == "fwd"


def add_language_model(trained: TrainedModel, inputs: dict[str, Input], graph: Graph) -> None:
    """Fills the graph."""
    names = add_inputs(graph, inputs)
    layers, params = trained.model.layers, trained.params
    size = len(trained.vocabulary.characters)
    carry = state_names(layers, params.rnn) if _has_states(trained) else None
    xs = add_one_hot(graph, names["tokens"], size)
    carries, ys = add_stack(graph, layers, params.rnn, xs, names["lengths"], initial_carry=carry)
    logits = add_projection(graph, ys, params.w, params.b)
    graph.output("logits", logits, shape=["batch", "time", size])
    if carry is not None:
        add_final_carry(graph, layers, params.rnn, carries)


def read(trained: TrainedModel, inputs: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    model, params = trained.model, trained.params
    tokens, lengths = inputs["tokens"], inputs["lengths"]
    has_states = _has_states(trained)
    if has_states:
        carry = carries_of(model.layers, params.rnn, inputs)
    else:
        carry = initial_carry(model, trained.config.hidden_size, tokens.shape[0])
    one_hot = (tokens[..., None] == jnp.arange(params.w.shape[1])[None, None]).astype(np.float32)
    carry, logits = score(model, params, one_hot, carry, lengths=lengths, rows=lengths)
    return {"logits": logits, **(named_carries(carry) if has_states else {})}
