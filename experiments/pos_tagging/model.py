"""The loss of a tagger of words."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import Total
from experiments.runner.run.loop import LossFn
from experiments.words.model import WordTagger, score


def make_loss(model: WordTagger) -> LossFn:
    """The loss function of training, evaluation and tests."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        return tagging_totals(score(model, params, batch, key), batch)

    return loss_fn


def tagging_totals(logits: jax.Array, batch: Mapping[str, jax.Array]) -> dict[str, Total]:
    """Loss and accuracy over the words of a batch.

    A word whose tag was not in training (label -1) has no loss, and counts as wrong.
    """
    valid = jnp.arange(logits.shape[1])[None] < batch["lengths"][:, None]
    labels = batch["labels"]
    return {
        "loss": birnn_jax.cross_entropy(logits, labels, valid & (labels >= 0)),
        "accuracy": birnn_jax.accuracy(logits, labels, valid),
    }
