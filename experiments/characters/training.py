"""Training a language model over characters, and the trained one from its run folder."""

import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import Total, accuracy, cross_entropy
from birnn_jax.training import average_of, evaluate
from experiments.characters.config import CharModel, LanguageConfig
from experiments.characters.data import Corpus, Vocabulary
from experiments.characters.generate import Drawing, generate_rows
from experiments.characters.model import CharParams, init_params, initial_carry, score
from experiments.characters.windows import Whole, Windows
from experiments.runner.run.best import best_params
from experiments.runner.run.carried import CarriedLossFn, make_carried_eval_step
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.loop import Training

VOCABULARY = "vocabulary.json"


def make_training(config: LanguageConfig, corpus: Corpus) -> Training:
    """Says to the runner what to train."""
    train = make_windows(config, corpus)
    dev = corpus.held_out if config.held_out else corpus.train
    return Training(
        loss_fn=make_loss(config.model),
        optimizer=config.make_optimizer(num_steps=len(train)),
        init_params=params_maker(config, len(corpus.vocabulary.characters)),
        train=train,
        dev=Whole(dev, steps=config.steps, batch_size=config.batch_size),
        steps_per_evaluation=train.per_epoch * config.epochs_per_evaluation,
        patience=config.epochs,  # the source trains to the end
        seed=config.seed,
        score=lambda means: -means["loss"],
        evaluated_params=average_of,
        initial_carry=carry_before(config),
    )


def carry_before(config: LanguageConfig) -> Any:
    """The carry before the first minibatch."""
    return initial_carry(config.model, config.hidden_size, config.batch_size)


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
        eval_step = make_carried_eval_step(make_loss(self.model), carry_before(config))
        means = evaluate(eval_step, self.params, whole)
        return measures(means["loss"]) | {"accuracy": means["accuracy"]}

    def continue_text(
        self, prefix: str, *, length: int, drawing: Drawing, key: jax.Array
    ) -> Iterator[str]:
        """Yields the characters after a prefix, each as soon as it is made."""
        options = {"length": length, "drawing": drawing, "keys": key[None]}
        for _, character in self.continue_texts([prefix], **options):
            yield character

    def continue_texts(
        self, prefixes: Sequence[str], *, length: int, drawing: Drawing, keys: jax.Array
    ) -> Iterator[tuple[int, str]]:
        """Continues several prefixes together, and yields (row, character) as it is made.

        Each text is the same as alone, with its key of `keys` `[B]`.
        """
        if not all(prefixes):
            raise ValueError("A prefix is empty: give at least one character to begin with.")
        rows = [self.vocabulary.encode(text, f"The prefix {text!r}") for text in prefixes]
        options = {"length": length, "drawing": drawing, "keys": keys}
        for row, token in generate_rows(self.model, self.params, rows, **options):
            yield row, self.vocabulary.characters[token]


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


def load_model(folder: RunFolder) -> TrainedModel:
    """The best checkpoint of a run, from its folder alone.

    Raises:
      ValueError: if there is no checkpoint, or the vocabulary is not that of the run.
    """
    config = LanguageConfig.of(folder)
    vocabulary = Vocabulary.load(folder.path / VOCABULARY, folder.settings["vocabulary"])
    make_params = params_maker(config, len(vocabulary.characters))
    params = best_params(folder, config, make_params, carry=carry_before(config))
    return TrainedModel(config, params, vocabulary)
