"""Training a language model in a run folder, and taking one up from it."""

import dataclasses
import math
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.language.config import (
    LanguageConfig,
    make_language_optimizer,
    make_loss,
    params_maker,
)
from experiments.language.generate import Drawing, generate
from experiments.language.model import CharModel, CharParams
from experiments.language.text import Corpus, Vocabulary, read_corpus
from experiments.language.windows import Whole
from experiments.runner import loop
from experiments.runner.averaging import average_of
from experiments.runner.carried import make_carried_eval_step
from experiments.runner.folder import RunFolder

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
