"""What the runner has to know to train a model over words, and what it has trained."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax

from birnn_jax import init_train_state
from experiments.runner import loop
from experiments.runner.averaging import average_of
from experiments.runner.batches import Batches, Example, bucket_lengths
from experiments.runner.folder import RunFolder
from experiments.tagging.settings import WordSettings, make_word_optimizer


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
        optimizer=make_word_optimizer(settings, num_steps=len(batches)),
        init_params=init_params,
        train=batches,
        dev=make_batches(dev),
        steps_per_evaluation=batches.per_epoch,
        patience=settings.patience,
        seed=settings.seed,
        score=lambda means: means[metric],
        evaluated_params=average_of,
    )


def best_params(
    folder: RunFolder, settings: WordSettings, init_params: Callable[[jax.Array], Any]
) -> Any:
    """The parameters that did best on dev, from the folder of a run alone."""
    optimizer = make_word_optimizer(settings, num_steps=1)
    like = jax.eval_shape(
        lambda key: init_train_state(init_params(key), optimizer), jax.random.key(0)
    )
    return average_of(loop.best_state(folder, like))
