"""What the runner has to know of a translator: minibatches and loss."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import Total, accuracy, cross_entropy
from experiments.bilingual.config import TranslationConfig
from experiments.bilingual.model import foretell, init_params
from experiments.bilingual.pairs import Pair
from experiments.bilingual.subwords import END, Subwords
from experiments.runner import loop
from experiments.runner.minibatches import Minibatch, Minibatches, padded_length

_UNIT = 8  # subwords of the shortest padding


class Lexicon(NamedTuple):
    """The subwords of both languages."""

    source: Subwords
    target: Subwords


class Encoded(NamedTuple):
    """A pair as subwords."""

    source: np.ndarray  # [T]
    target: np.ndarray  # [N], the end included


def learn_lexicon(config: TranslationConfig, train: Sequence[Pair]) -> Lexicon:
    """Learns the subwords of both languages."""
    return Lexicon(
        Subwords.learn([pair.source for pair in train], config.source_subwords),
        Subwords.learn([pair.target for pair in train], config.target_subwords),
    )


def encode_pairs(lexicon: Lexicon, pairs: Sequence[Pair]) -> list[Encoded]:
    """Pairs as subwords."""
    return [
        Encoded(
            lexicon.source.encode(pair.source), np.append(lexicon.target.encode(pair.target), END)
        )
        for pair in pairs
    ]


def make_training(
    config: TranslationConfig, lexicon: Lexicon, parts: dict[str, list[Pair]]
) -> loop.Training:
    """Says to the runner what to train."""
    train, dev = (encode_pairs(lexicon, parts[part]) for part in ("train", "dev"))
    batches = make_batches(config, train, epochs=config.epochs, seed=config.seed)
    return loop.Training(
        loss_fn=make_loss(config),
        init_params=params_maker(config, lexicon),
        train=batches,
        dev=make_batches(config, dev),
        score=lambda means: -means["loss"],
        **config.training(batches.per_epoch, len(batches)),
    )


def make_batches(
    config: TranslationConfig,
    pairs: Sequence[Encoded],
    *,
    epochs: int = 1,
    seed: int | None = None,
) -> Minibatches:
    """Minibatches; without a seed, those to evaluate on."""
    return Minibatches(
        lambda epoch: pairs,
        length=lambda pair: len(pair.source) + len(pair.target),
        pad=pad,
        batch_size=config.batch_size,
        epochs=epochs,
        seed=seed,
    )


def pad(pairs: Sequence[Encoded], size: int) -> Minibatch:
    """Stacks pairs to {"source": [B, T], "target": [B, N]} and their lengths `[B]`."""
    batch = {}
    for name in Encoded._fields:
        sides = [getattr(pair, name) for pair in pairs]
        rows = np.zeros([size, padded_length(max(map(len, sides)), _UNIT)], np.int32)
        lengths = np.zeros([size], np.int32)
        for i, side in enumerate(sides):
            rows[i, : len(side)], lengths[i] = side, len(side)
        batch |= {name: rows, f"{name}_lengths": lengths}
    return batch


def make_loss(config: TranslationConfig) -> loop.LossFn:
    """The loss function: nats per subword, smoothed in training only."""
    model = config.model

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        forcing = 1 - (1 - config.teacher_forcing) * batch["progress"]
        logits, _ = foretell(model, params, batch, key, forcing)
        target = batch["target"]
        valid = jnp.arange(target.shape[1])[None] < batch["target_lengths"][:, None]
        loss = cross_entropy(logits, target, valid)
        if key is not None:
            loss = smoothed(loss, logits, valid, config.label_smoothing)
        return {"loss": loss, "accuracy": accuracy(logits, target, valid)}

    return loss_fn


def smoothed(loss: Total, logits: jax.Array, valid: jax.Array, share: float) -> Total:
    """Cross entropy with a target that gives a share of its probability to all classes alike.

    References:
      Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016.
    """
    alike = -jax.nn.log_softmax(logits).mean(axis=-1)
    return Total((1 - share) * loss.sum + share * jnp.where(valid, alike, 0).sum(), loss.count)


def params_maker(config: TranslationConfig, lexicon: Lexicon) -> Any:
    """The function that makes the parameters from a key."""
    return functools.partial(
        init_params,
        config.model,
        source_size=len(lexicon.source),
        target_size=len(lexicon.target),
        embedding_size=config.embedding_size,
        hidden_size=config.hidden_size,
    )
