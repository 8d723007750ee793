"""Training a language model over characters, and the trained one from its run folder."""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from birnn_jax import Total, accuracy, cross_entropy, make_optimizer
from experiments.characters.config import LanguageConfig
from experiments.characters.data import Corpus, Vocabulary, read_corpus
from experiments.characters.generate import Drawing, generate
from experiments.characters.model import CharModel, CharParams, init_params, score
from experiments.characters.windows import Whole, Windows
from experiments.runner.run import loop
from experiments.runner.run.averaging import average_of, with_average
from experiments.runner.run.carried import CarriedLossFn, make_carried_eval_step
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.loop import Training

_METHODS = {"adam": optax.adam, "sgd": optax.sgd}


def make_training(config: LanguageConfig, corpus: Corpus) -> Training:
    """Says to the runner what to train."""
    train = make_windows(config, corpus)
    dev = corpus.held_out if config.held_out else corpus.train
    return Training(
        loss_fn=make_loss(config.model),
        optimizer=make_language_optimizer(config, num_steps=len(train)),
        init_params=params_maker(config, len(corpus.vocabulary.characters)),
        train=train,
        dev=Whole(dev, steps=config.steps, batch_size=config.batch_size),
        steps_per_evaluation=train.per_epoch * config.epochs_per_evaluation,
        patience=config.epochs,  # the source trains to the end
        seed=config.seed,
        score=lambda means: -means["loss"],
        evaluated_params=average_of,
        initial_carry=config.carry,
    )


def make_windows(config: LanguageConfig, corpus: Corpus) -> Windows:
    """The minibatches of a run."""
    return Windows(
        corpus.train,
        steps=config.steps,
        batch_size=config.batch_size,
        sampling=config.sampling,
        epochs=config.epochs,
        seed=config.seed,
    )


def make_loss(model: CharModel) -> CarriedLossFn:
    """The loss function of training, evaluation and tests: nats per character."""

    def loss_fn(
        params: Any, batch: Any, key: jax.Array | None, carry: Any
    ) -> tuple[dict[str, Total], Any]:
        carry = jax.tree.map(lambda leaf: jnp.where(batch["fresh"], 0, leaf), carry)
        lengths, labels = batch.get("lengths"), batch["labels"]
        noise = {"key": key, "rows": batch.get("rows")}
        carry, logits = score(model, params, batch["inputs"], carry, lengths=lengths, **noise)
        valid = jnp.ones(labels.shape, bool)
        if lengths is not None:
            valid = jnp.arange(labels.shape[1])[None] < lengths[:, None]
        totals = {
            "loss": cross_entropy(logits, labels, valid),
            "accuracy": accuracy(logits, labels, valid),
        }
        return totals, carry

    return loss_fn


def params_maker(config: LanguageConfig, num_characters: int) -> Any:
    """The function that makes the parameters from a key."""
    return functools.partial(
        init_params,
        config.model,
        num_characters=num_characters,
        hidden_size=config.hidden_size,
        initializer=config.init,
    )


def make_language_optimizer(
    config: LanguageConfig, *, num_steps: int
) -> optax.GradientTransformation:
    """Clipping, the method at its learning rate, and the average of the parameters."""
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        rate = optax.warmup_cosine_decay_schedule(
            0.0, rate, warmup_steps=num_steps // 50 + 1, decay_steps=num_steps + 1
        )
    optimizer = make_optimizer(rate, clip_norm=config.clip_norm, method=_METHODS[config.method])
    return with_average(optimizer, config.average_decay)


VOCABULARY = "vocabulary.json"


class TrainedModel(NamedTuple):
    """A model with its best parameters, and the characters that it knows."""

    config: LanguageConfig
    params: CharParams
    vocabulary: Vocabulary

    @property
    def model(self) -> CharModel:
        """The static part of the model."""
        return self.config.model

    def measure(self, tokens: np.ndarray) -> dict[str, float]:
        """Nats per character, perplexity and so on, over every character but the first."""
        config = self.config
        whole = Whole(tokens, steps=config.steps, batch_size=config.batch_size)
        eval_step = make_carried_eval_step(make_loss(self.model), config.carry)
        means = loop.evaluate(eval_step, self.params, whole)
        return measures(means["loss"]) | {"accuracy": means["accuracy"]}

    def continue_text(
        self, prefix: str, *, length: int, drawing: Drawing, key: jax.Array
    ) -> Iterator[str]:
        """Yields the characters after a prefix, each as soon as it is made."""
        if not prefix:
            raise ValueError("A prefix is empty: give at least one character to go on from.")
        tokens = self.vocabulary.encode(prefix, f"The prefix {prefix!r}")
        options = {"length": length, "drawing": drawing, "key": key}
        for token in generate(self.model, self.params, tokens, **options):
            yield self.vocabulary.characters[token]


def measures(nats: float) -> dict[str, float]:
    """One loss in three units."""
    return {
        "nats": nats,
        "bits": nats / math.log(2),
        "perplexity": perplexity_of(nats),
    }


def perplexity_of(nats: float) -> float:
    """The number of characters, equally likely, that it would be as hard to choose from."""
    return math.exp(nats) if nats < 700 else math.inf


def start_run(
    path: pathlib.Path, config: LanguageConfig, *, experiment: str, **more: Any
) -> tuple[RunFolder, Corpus]:
    """Makes or takes up the folder of a run, its vocabulary beside it."""
    corpus = read_corpus(config.text, characters=config.characters, held_out=config.held_out)
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "text"}
    folder = RunFolder.start(
        path,
        experiment=experiment,
        settings=settings | more | {"vocabulary": corpus.vocabulary.digest},
        data={"text": config.text},
    )
    corpus.vocabulary.save(folder.path / VOCABULARY)
    return folder, corpus


def config_of(folder: RunFolder) -> LanguageConfig:
    """The settings of a run."""
    names = {field.name for field in dataclasses.fields(LanguageConfig)}
    settings = {name: value for name, value in folder.settings.items() if name in names}
    return LanguageConfig(**settings, text=pathlib.Path(folder.config["data"]["text"]["path"]))


def load_model(folder: RunFolder) -> TrainedModel:
    """The best checkpoint of a run, from its folder alone.

    Raises:
      ValueError: if there is no checkpoint, or the vocabulary is not that of the run.
    """
    config = config_of(folder)
    vocabulary = Vocabulary.load(folder.path / VOCABULARY, folder.settings["vocabulary"])
    make_params = params_maker(config, len(vocabulary.characters))
    training = loop.Training(
        loss_fn=make_loss(config.model),
        optimizer=make_language_optimizer(config, num_steps=1),
        init_params=make_params,
        train=(),
        dev=(),
        steps_per_evaluation=1,
        patience=1,
        seed=0,
        score=lambda means: 0.0,
        initial_carry=config.carry,
    )
    like = jax.eval_shape(lambda: loop.initial_state(training))
    return TrainedModel(config, average_of(loop.best_state(folder, like)), vocabulary)
