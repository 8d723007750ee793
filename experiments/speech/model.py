"""Networks that read features of speech: one label for a sound, or a row of labels without times.

xs     = features(signal)                        frames, see `features`
ys     = stack(xs)                               the upper layers read two steps as one
logits = softmax layer over a readout of ys      "label": one of K
       = softmax layer over ys[t], each step     "row": CTC, K labels and the blank
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import Layer, Total, heads
from experiments.runner.data.keys import keys_of_rows
from experiments.runner.run import loop
from experiments.speech.features import Features, extract

CELLS = {"elman": birnn_jax.ELMAN, "gru": birnn_jax.GRU, "lstm": birnn_jax.LSTM}
Task = Literal["label", "row"]
Readout = Literal["final", "mean", "max", "attention"]


@dataclasses.dataclass(frozen=True)
class SpeechModel:
    """The shape of the model, and how it is regularised: everything static about it."""

    task: Task
    features: Features
    layers: tuple[Layer, ...]
    readout: Readout = "max"
    dropout: float = 0.0
    noise: float = 0.0  # standard deviation of what is added to the features in training


def init_params(
    model: SpeechModel, key: jax.Array, *, hidden_size: int, num_labels: int
) -> birnn_jax.models.ClassifierParams | birnn_jax.models.TaggerParams:
    """Makes the parameters; consumes `key`."""
    sizes = {"input_size": model.features.size, "hidden_size": hidden_size}
    if model.task == "label":
        return birnn_jax.init_classifier(
            model.layers, key, **sizes, num_classes=num_labels, readout=model.readout
        )
    return birnn_jax.init_tagger(model.layers, key, **sizes, num_classes=num_labels + 1)


def score(
    model: SpeechModel, params: Any, batch: Mapping[str, jax.Array], key: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Scores labels; there is no dropout and no noise where `key` is None.

    What a row gets depends on `key` and on `batch["rows"]`, not on the rest of the batch.

    Returns:
      Logits `[B, K]`, or `[B, S, 1 + K]` with the blank in front; and how many steps are valid,
      `[B]`: of the features, or of the S steps.
    """
    xs, lengths = extract(model.features, batch["signals"], batch["lengths"])
    key_noise, key_input, key_stack = keys_of_rows(key, batch.get("rows"), 3)
    if key_noise is not None:
        noise = jax.vmap(lambda key: jax.random.normal(key, xs.shape[1:]))
        xs = xs + model.noise * noise(key_noise)
    xs = birnn_jax.dropout(xs, model.dropout / 2, key_input)
    if model.task == "label":
        options = {"readout": model.readout, "dropout": model.dropout, "key": key_stack}
        return birnn_jax.classifier(model.layers, params, xs, lengths, **options), lengths
    logits = birnn_jax.tagger(
        model.layers, params, xs, lengths, dropout=model.dropout, key=key_stack
    )
    return logits, birnn_jax.stack_lengths(model.layers, lengths)  # pyright: ignore


def totals(
    model: SpeechModel, logits: jax.Array, lengths: jax.Array, batch: Mapping[str, jax.Array]
) -> dict[str, Total]:
    """Loss, and the share of sounds whose labels are all right."""
    labels, present = batch["labels"], lengths > 0
    if model.task == "label":
        return {
            "loss": birnn_jax.cross_entropy(logits, labels[:, 0], present),
            "accuracy": birnn_jax.accuracy(logits, labels[:, 0], present),
        }
    loss = heads.ctc_loss(logits, lengths, labels + 1, batch["label_lengths"], zero_infinity=True)
    found, counts = heads.ctc_greedy_decode(logits, lengths)
    size = max(found.shape[1], labels.shape[1])
    wanted = jnp.arange(labels.shape[1])[None] < batch["label_lengths"][:, None]
    gold = _pad(jnp.where(wanted, labels + 1, -1), size)
    right = (counts == batch["label_lengths"]) & (_pad(found, size) == gold).all(axis=1)
    return {"loss": loss, "accuracy": Total((right & present).sum() * 1.0, present.sum() * 1.0)}


def _pad(labels: jax.Array, size: int) -> jax.Array:
    return jnp.pad(labels, ((0, 0), (0, size - labels.shape[1])), constant_values=-1)


def make_loss(model: SpeechModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        logits, lengths = score(model, params, batch, key)
        return totals(model, logits, lengths, batch)

    return loss_fn
