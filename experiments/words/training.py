"""Training a model over words, and labels from a trained one."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from experiments.runner.data.batches import Batches, Example, bucket_lengths
from experiments.runner.run import loop
from experiments.words.config import WordSettings


def make_word_training(
    settings: WordSettings,
    *,
    loss_fn: loop.LossFn,
    init_params: Callable[[jax.Array], Any],
    train: Sequence[Example],
    dev: Sequence[Example],
    metric: str,
) -> loop.Training:
    """Says to the runner what to train.

    Args:
      settings: of the model and its training.
      loss_fn: of a batch of examples.
      init_params: makes the parameters from a key.
      train: examples to learn.
      dev: examples that decide which checkpoint is best.
      metric: what decides it, of the totals of `loss_fn`; bigger is better.
    """
    make_batches = functools.partial(
        Batches,
        buckets=bucket_lengths([len(example["words"]) for example in train], settings.buckets),
        tokens_per_batch=settings.tokens_per_batch,
    )
    batches = make_batches(train, epochs=settings.epochs, seed=settings.seed)
    return loop.Training(
        loss_fn=loss_fn,
        init_params=init_params,
        train=batches,
        dev=make_batches(dev),
        score=lambda means: means[metric],
        **settings.training(batches.per_epoch, len(batches)),
    )


_BUCKETS = (8, 16, 32, 64, 128)


def label_rows(
    decode: Callable[[Any], Any], examples: Sequence[Example], tokens_per_batch: int
) -> list[np.ndarray]:
    """What `decode`, from a batch to arrays `[B, T]`, says of each example, without its padding."""
    batches = Batches(examples, buckets=_BUCKETS, tokens_per_batch=tokens_per_batch)
    labels: dict[int, np.ndarray] = {}
    for i in range(len(batches)):
        batch = batches[i]
        decoded = np.asarray(decode(jax.device_put(batch)))
        for row, length, values in zip(batch["rows"], batch["lengths"], decoded, strict=True):
            labels[int(row)] = values[:length]
    return [labels[row] for row in range(len(examples))]
