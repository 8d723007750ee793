"""A classifier of series: a stack, a readout of all its steps, a softmax."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax

import birnn_jax
from birnn_jax import Layer, Total
from birnn_jax.models import ClassifierParams
from experiments.runner.data.keys import keys_of_rows
from experiments.runner.run import loop


class SeriesModel(NamedTuple):
    """The shape of the model, and how it is regularised: everything static about it."""

    layers: tuple[Layer, ...]
    readout: Literal["final", "mean", "max", "attention"]
    dropout: float
    noise: float


def score(
    model: SeriesModel, params: ClassifierParams, batch: Mapping[str, jax.Array], key: Any
) -> jax.Array:
    """Scores every class for every series: logits `[B, K]`; no noise where `key` is None.

    What a row gets depends on `key` and on `batch["rows"]`, not on the rest of the batch.
    """
    xs = batch["values"]
    key_noise, key_stack = keys_of_rows(key, batch["rows"], 2)
    if key_noise is not None:
        noise = jax.vmap(lambda key: jax.random.normal(key, xs.shape[1:]))
        xs = xs + model.noise * noise(key_noise)
    return birnn_jax.classifier(
        *(model.layers, params, xs, batch["lengths"]),
        readout=model.readout,
        dropout=model.dropout,
        key=key_stack,
    )


def make_loss(model: SeriesModel) -> loop.LossFn:
    """The loss function of training, evaluation and tests.

    A series whose class was not in training (label -1) has no loss, and counts as wrong.
    """

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Total]:
        logits, labels = score(model, params, batch, key), batch["labels"]
        return {
            "loss": birnn_jax.cross_entropy(logits, labels, labels >= 0),
            "accuracy": birnn_jax.accuracy(logits, labels, batch["lengths"] > 0),
        }

    return loss_fn
