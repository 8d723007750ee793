"""A classifier of series: a stack, a readout of all its steps, a softmax."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import birnn_jax
from birnn_jax import Total
from birnn_jax.data import choose_buckets
from birnn_jax.models import ClassifierParams
from experiments.runner.data.batches import Batches, by_rows
from experiments.runner.data.keys import keys_of_rows
from experiments.runner.run import loop
from experiments.runner.run.best import load_best
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.programs import quick_jit
from experiments.time_series.classify.config import SeriesConfig, SeriesModel
from experiments.time_series.classify.data import Labelled, Problem
from experiments.time_series.classify.ts_file import Series


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


def init_params(config: SeriesConfig, problem: Problem, key: jax.Array) -> ClassifierParams:
    """The parameters before training; consumes `key`."""
    return birnn_jax.init_classifier(
        config.model.layers,
        key,
        input_size=len(problem.mean),
        hidden_size=config.hidden_size,
        num_classes=len(problem.labels),
        readout=config.readout,
    )


def make_training(
    config: SeriesConfig, problem: Problem, train: Sequence[Series], dev: Sequence[Series]
) -> loop.Training:
    """Says to the runner what to train."""
    lengths = [len(example.values) for example in train]
    steps = config.series_per_batch * max(lengths)
    buckets = choose_buckets(lengths, config.buckets)

    def batches(series: Sequence[Series], **options: Any) -> Batches:
        examples = problem.encode(series)
        return Batches(examples, buckets=buckets, tokens_per_batch=steps, **options)

    of_train = batches(train, epochs=config.epochs, seed=config.seed)
    return loop.Training(
        loss_fn=make_loss(config.model),
        init_params=functools.partial(init_params, config, problem),
        train=Labelled(of_train, problem.indices(train)),
        dev=Labelled(batches(dev), problem.indices(dev)),
        score=lambda means: -means["loss"],
        **config.training(of_train.per_epoch, len(of_train)),
    )


PROBLEM = "problem.json"
_BUCKETS = (32, 64, 128, 256, 512)
_STEPS_PER_BATCH = 4096


class TrainedClassifier(NamedTuple):
    """A model with its best parameters, and the problem that it was trained for."""

    config: SeriesConfig
    params: Any
    problem: Problem

    def classify(self, series: Sequence[Series]) -> np.ndarray:
        """The probability of each class for each series, `[N, K]`."""
        examples = self.problem.encode(series)
        batches = Batches(examples, buckets=_BUCKETS, tokens_per_batch=_STEPS_PER_BATCH)
        compute = functools.partial(_probabilities, self.config.model, self.params)
        return np.stack(by_rows(batches, compute))


def load_classifier(folder: RunFolder) -> TrainedClassifier:
    """The best checkpoint of a run, from its folder alone."""
    problem = Problem.load(folder.path / PROBLEM)
    return TrainedClassifier(*load_best(folder, SeriesConfig, init_params, problem), problem)


@quick_jit(static_argnames="model")
def _probabilities(model: SeriesModel, params: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jax.nn.softmax(score(model, params, batch, key=None), axis=-1)
