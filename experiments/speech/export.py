"""A speech recogniser for export: from samples of sound to labels, features included.

Inputs are `samples` `[B, N]` from -1 to 1, at the rate of the settings, and `lengths` `[B]` in
samples. Outputs are `log_mel` `[B, F, 26]`, the spectrum every 10 ms, and

    with --task label   `logits` `[B, K]` and `labels` `[B]`
    with --task row     `logits` `[B, S, 1 + K]`, the blank in front, and `logit_lengths` `[B]`;
                        `labels` `[B, S]` of the most probable path, -1 behind the last, and
                        `label_lengths` `[B]`
"""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from birnn_jax import heads
from birnn_jax.interop.onnx import (
    Graph,
    add_classifier,
    add_ctc_greedy_decode,
    add_projection,
    add_stack,
    add_stack_lengths,
)
from birnn_jax.interop.stablehlo import Input
from birnn_jax.metrics import label_error_rate
from experiments.runner.data.batches import Source, by_rows
from experiments.runner.data.measures import share
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
from experiments.speech.config import SpeechModel, Task
from experiments.speech.data import LABELS, read_parts
from experiments.speech.features import FRAME_SECONDS, SHIFT_SECONDS, log_mel
from experiments.speech.graph import FULL_SCALE, add_features
from experiments.speech.model import load_listener, score
from experiments.speech.utterances import make_batches

INPUTS = {"samples": Input("batch, time"), "lengths": Input("batch", jnp.int32)}
CARD = Card(
    title="Recogniser of spoken words",
    task="automatic-speech-recognition",
    summary="A bidirectional recurrent network over features of speech, which are computed in the "
    "graph. It hears one word of a short recording, or a row of words by CTC.",
    use="Recognising the words of training, in one channel at the rate of config.json, spoken "
    "close to the microphone.",
    limits="It knows only the words of its labels, and gives one of them for any sound. It is less "
    "accurate with speakers, rooms and microphones that training has not heard. The graph returns "
    "the labels of the most probable path; the commands use beam search.",
    metrics=("accuracy", "label_error_rate"),
    language="en",
)
load = load_listener


def exported(folder: RunFolder) -> Exported:
    """The listener of a run."""
    listener = load_listener(folder)
    config, params, labels = listener.config, listener.params, listener.labels
    model = config.model
    part = Part(
        functools.partial(add_listener, model, params),
        functools.partial(listen, model, params),
        INPUTS,
        constraints=(f"time >= {model.features.frame}",),
    )

    def read_test() -> Test:
        recordings = read_parts(config).test
        batches = make_batches(config, recordings, listener.known_with(recordings))
        if batches[0]["signals"].ndim == 3:
            raise ValueError("they are features of speech, but the graph reads samples.")
        return functools.partial(_test, model.task, batches)

    task = CARD.task if model.task == "row" else "audio-classification"
    return Exported(
        parts={"model": part},
        params=params,
        vocabulary={"labels": list(labels), **({"blank": 0} if model.task == "row" else {})},
        card=CARD._replace(task=task),
        preprocessing={
            "sampling_rate": model.features.rate,
            "frame_seconds": FRAME_SECONDS,
            "shift_seconds": SHIFT_SECONDS,
            "subsample": list(config.subsample),
        },
        files=[LABELS],
        read_test=read_test,
    )


def _test(task: Task, batches: Source, answers: Answers) -> dict[str, float]:
    def hear(batch: Arrays) -> Any:
        samples = np.asarray(batch["signals"], np.float32) / FULL_SCALE
        inputs = {"samples": samples, "lengths": np.asarray(batch["lengths"], np.int32)}
        return batch["labels"], batch["label_lengths"], answers["model"](inputs)["labels"]

    rows = by_rows(batches, hear)
    if task == "label":
        return {"accuracy": share([said[0] == heard for said, _, heard in rows], "sounds")}
    said = [labels[:count].tolist() for labels, count, _ in rows]
    heard = [labels[labels >= 0].tolist() for _, _, labels in rows]
    return {"greedy_label_error_rate": label_error_rate(said, heard)}


def add_listener(model: SpeechModel, params: Any, graph: Graph) -> None:
    """Fills the graph."""
    names = add_inputs(graph, INPUTS)
    features = add_features(graph, model.features, names["samples"], names["lengths"])
    graph.output("log_mel", features.log_mel, shape=["batch", "frames", 26])
    xs, lengths = features.xs, features.lengths
    if model.task == "label":
        logits, _ = add_classifier(graph, model.layers, params, xs, lengths, readout=model.readout)
        graph.output("logits", logits, shape=["batch", len(params.b)])
        add_label(graph, logits)
        return
    _, ys = add_stack(graph, model.layers, params.rnn, xs, lengths)
    logits = add_projection(graph, ys, params.w, params.b)
    fewer = add_stack_lengths(graph, model.layers, lengths)
    found, counts = add_ctc_greedy_decode(graph, logits, fewer)
    one, none = (graph.constant(np.int32(number)) for number in (1, -1))
    labels = graph.op("Max", graph.op("Sub", found, one), none)
    graph.output("logits", logits, shape=["batch", "steps", len(params.b)])
    graph.output("logit_lengths", fewer, shape=["batch"], dtype=np.int32)
    graph.output("labels", labels, shape=["batch", "steps"], dtype=np.int32)
    graph.output("label_lengths", counts, shape=["batch"], dtype=np.int32)


def listen(model: SpeechModel, params: Any, inputs: Arrays) -> Arrays:
    """What the graph gives, in JAX."""
    batch = {"signals": FULL_SCALE * inputs["samples"], "lengths": inputs["lengths"]}
    logits, lengths = score(model, params, batch, None)
    spectrum = log_mel(model.features, batch["signals"], batch["lengths"])
    if model.task == "label":
        labels = logits.argmax(axis=-1).astype(jnp.int32)
        return {"log_mel": spectrum, "logits": logits, "labels": labels}
    found, counts = heads.ctc_greedy_decode(logits, lengths)
    return {
        "log_mel": spectrum,
        "logits": logits,
        "logit_lengths": lengths.astype(jnp.int32),
        "labels": jnp.maximum(found - 1, -1),
        "label_lengths": counts,
    }
