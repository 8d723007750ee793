"""The settings of a classifier of series, and what follows from them."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax

import birnn_jax
from birnn_jax import ClassifierParams, Layer, Total
from experiments.runner import loop
from experiments.runner.batches import Batches, bucket_lengths
from experiments.runner.keys import keys_of_rows
from experiments.runner.settings import RunSettings
from experiments.series.problem import Labelled, Problem
from experiments.series.ts_file import Series

BUNDLED = pathlib.Path(__file__).parents[1] / "data" / "japanese_vowels.npz"
CELLS = {"elman": birnn_jax.ELMAN, "gru": birnn_jax.GRU, "lstm": birnn_jax.LSTM}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeriesConfig(RunSettings):
    """Everything that decides the outcome of a run."""

    train: pathlib.Path = BUNDLED
    """Series to train on: a .ts file of the UEA and UCR archives, plain or .gz, or the bundled
    .npz."""
    test: pathlib.Path = BUNDLED
    """Series for the test, looked at once, after training. Formats as for --train."""
    dev_every: int = 10
    """Every so manieth series of each class of --train decides which checkpoint is best, and is
    not trained on."""

    cell: Literal["elman", "gru", "lstm"] = "gru"
    """Recurrent cell."""
    direction: Literal["both", "fwd", "bwd"] = "both"
    """Directions in which each layer reads."""
    layers: int = 2
    """Recurrent layers."""
    hidden_size: int = 64
    """Hidden units of each layer and direction."""
    readout: Literal["final", "mean", "max", "attention"] = "mean"
    """How the steps become one vector: see `birnn_jax.classifier`."""

    dropout: float = 0.3
    """Rate of dropout between layers."""
    noise: float = 0.6
    """Deviation of normal noise that is added to the values in training, which have deviation 1."""
    series_per_batch: int = 16
    """Series of the longest bucket in a batch; of shorter ones there are more."""
    buckets: int = 2
    """Different lengths of padded batches, at most; each is compiled once."""
    epochs: int = 60
    """Passes over the training data, at most."""
    patience: int = 60
    """Evaluations on dev without a new best before training stops early."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        super().__post_init__()
        self.require_positive("layers", "hidden_size", "series_per_batch", "buckets")
        self.require_rates("dropout")
        if self.dev_every < 2:
            raise ValueError(f"dev_every must be at least 2, got {self.dev_every}.")
        if self.noise < 0:
            raise ValueError(f"noise must not be negative, got {self.noise}.")

    @property
    def model(self) -> "SeriesModel":
        """The static part of the model."""
        layers = (Layer(CELLS[self.cell], direction=self.direction),) * self.layers
        return SeriesModel(layers, self.readout, self.dropout, self.noise)


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
    lengths = [len(one.values) for one in train]
    steps = config.series_per_batch * max(lengths)
    buckets = bucket_lengths(lengths, config.buckets)

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
