"""Predicting a character from one side of it, from both, and from itself.

    task        reads                          predicts          from
    leaky       x[1..T], both directions       x[t+1] at t       both sides: x[t+1] itself is read
    elmo        x[1..T], each direction apart  x[t+1] and x[t-1] the left side, and the right side
    masked      x with single gaps             what is missing   both sides
    gap         x with gaps of several         what is missing   both sides
    gap_left    the same                       what is missing   the left side
    gap_right   the same                       what is missing   the right side

A missing character is read as one more character, number V, which is never predicted.
"""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from birnn_jax import Bi, Total, accuracy, cross_entropy
from birnn_jax.stacks import LayerParams
from experiments.bilm_leakage.config import Task
from experiments.characters.config import CharModel
from experiments.characters.model import CharParams, initial_carry, score
from experiments.runner.run.loop import LossFn


class ElmoParams(NamedTuple):
    """A stack for each direction, under one softmax layer."""

    rnn: Bi[tuple[LayerParams, ...]]
    w: jax.Array  # [H, V]
    b: jax.Array  # [V]


def make_loss(task: Task, models: Bi[CharModel]) -> LossFn:
    """The loss function of a task; `models` are of the forward and of the backward direction.

    A task of one model has it in `models.fwd`.
    """

    def leaky(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Total]:
        options = {"lengths": batch.get("lengths"), "key": key, "rows": batch.get("rows")}
        logits = score_fresh(models.fwd, params, batch["inputs"], **options)
        return _totals(logits, batch["labels"], _valid(batch))

    def elmo(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Total]:
        logits = score_both(models, params, batch, key)
        fwd = _totals(logits.fwd, batch["labels"], _valid(batch))
        bwd = _totals(logits.bwd, batch["inputs"], _valid(batch))
        both = jax.tree.map(jnp.add, fwd, bwd)
        return {**both, "fwd": fwd["loss"], "bwd": bwd["loss"]}

    def fill(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Total]:
        options = {"lengths": batch.get("lengths"), "key": key, "rows": batch.get("rows")}
        logits = score_fresh(models.fwd, params, batch["inputs"], **options)
        return _totals(logits, batch["labels"], batch["hidden"] & _valid(batch))

    return {"leaky": leaky, "elmo": elmo}.get(task, fill)


def score_fresh(
    model: CharModel,
    params: CharParams,
    tokens: jax.Array,
    **options: Any,
) -> jax.Array:
    """Scores `[B, T]` tokens from states of zeros: logits `[B, T, V]`; options as of `score`."""
    return score(model, params, tokens, _zeros(model, params, tokens), **options)[1]


def score_both(
    models: Bi[CharModel], params: ElmoParams, batch: Any, key: jax.Array | None
) -> Bi[jax.Array]:
    """Logits for what follows each of `inputs`, and for what precedes each of `labels`."""
    keys = (None, None) if key is None else jax.random.split(key)
    options = {"lengths": batch.get("lengths"), "rows": batch.get("rows")}
    fwd = half(params, "fwd")
    bwd = half(params, "bwd")
    return Bi(
        score_fresh(models.fwd, fwd, batch["inputs"], key=keys[0], **options),
        score_fresh(models.bwd, bwd, batch["labels"], key=keys[1], **options),
    )


def half(params: ElmoParams, direction: Literal["fwd", "bwd"]) -> CharParams:
    """One direction of `elmo` as a model by itself."""
    return CharParams(getattr(params.rnn, direction), params.w, params.b)


def score_as_written(model: CharModel, params: CharParams, tokens: jax.Array) -> jax.Array:
    """Scores `[B, T]` tokens as if each were the last there is: logits `[B, T, V]`.

    This is what generation gets to see: the text so far, and nothing after it.
    """

    def body(carry: Any, column: jax.Array) -> tuple[Any, jax.Array]:
        carry, logits = score(model, params, column[:, None], carry)
        return carry, logits[:, 0]

    _, logits = jax.lax.scan(body, _zeros(model, params, tokens), tokens.T)
    return logits.swapaxes(0, 1)


def make_written_loss(model: CharModel) -> LossFn:
    """The loss function of a model that may not look ahead."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Total]:
        del key
        logits = score_as_written(model, params, batch["inputs"])
        return _totals(logits, batch["labels"], _valid(batch))

    return loss_fn


def _totals(logits: jax.Array, labels: jax.Array, mask: jax.Array) -> dict[str, Total]:
    return {
        "loss": cross_entropy(logits, labels, mask),
        "accuracy": accuracy(logits, labels, mask),
    }


def _valid(batch: Any) -> jax.Array:
    shape = batch["labels"].shape
    if "lengths" not in batch:
        return jnp.ones(shape, bool)
    return jnp.arange(shape[1])[None] < batch["lengths"][:, None]


def _zeros(model: CharModel, params: CharParams, tokens: jax.Array) -> Any:
    size = params.w.shape[0] // (2 if model.direction == "both" else 1)
    return initial_carry(model, size, tokens.shape[0])
