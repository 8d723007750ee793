"""What the runner has to know to train a model over words."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from experiments.runner import loop
from experiments.runner.batches import Batches, Example, bucket_lengths
from experiments.tagging.settings import WordSettings


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
