"""Training a model of one side or of both, and what the trained one knows and writes."""

import functools
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from birnn_jax import Bi, make_eval_step, make_optimizer
from birnn_jax.training import evaluate
from experiments.bilm_leakage.config import SidesConfig, direction_of
from experiments.bilm_leakage.data import Gaps, has_gaps, minibatches
from experiments.bilm_leakage.model import (
    ElmoParams,
    half,
    make_loss,
    make_written_loss,
    score_fresh,
)
from experiments.characters.data import Corpus, Vocabulary, read_corpus
from experiments.characters.generate import Drawing, generate
from experiments.characters.model import init_params
from experiments.characters.runs import known_characters
from experiments.characters.training import VOCABULARY, measures
from experiments.characters.windows import Windows
from experiments.runner.run.best import best_of
from experiments.runner.run.experiment import Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.loop import Training


def make_training(config: SidesConfig, corpus: Corpus) -> Training:
    """Says to the runner what to train."""
    windows = Windows(
        corpus.train,
        steps=config.steps,
        batch_size=config.batch_size,
        sampling="random",
        epochs=config.epochs,
        seed=config.seed,
    )
    num_characters = len(corpus.vocabulary.characters)
    train: Any = windows
    if has_gaps(config.task):
        train = Gaps(windows, gap=config.gap_length, missing=num_characters, seed=config.seed)
    return Training(
        loss_fn=make_loss(config.task, config.models),
        optimizer=make_sides_optimizer(config, num_steps=len(windows)),
        init_params=functools.partial(init_sides, config, num_characters),
        train=train,
        dev=minibatches(config, corpus.held_out, num_characters),
        steps_per_evaluation=windows.per_epoch,
        patience=config.epochs,
        seed=config.seed,
        score=lambda means: -means["loss"],
    )


def init_sides(config: SidesConfig, num_characters: int, key: jax.Array) -> Any:
    """The parameters before training; consumes `key`."""
    options = {"hidden_size": config.hidden_size, "initializer": "torch"}
    if config.task == "elmo":
        fwd, bwd = (
            init_params(model, key, num_characters=num_characters, **options)
            for model, key in zip(config.models, jax.random.split(key), strict=True)
        )
        return ElmoParams(Bi(fwd.rnn, bwd.rnn), fwd.w, fwd.b)
    num_read = num_characters + has_gaps(config.task)
    params = init_params(config.models.fwd, key, num_characters=num_read, **options)
    return params._replace(w=params.w[:, :num_characters], b=params.b[:num_characters])


def make_sides_optimizer(config: SidesConfig, *, num_steps: int) -> optax.GradientTransformation:
    """Clipping, and Adam with a cosine."""
    rate = optax.cosine_decay_schedule(config.learning_rate, num_steps + 1)
    return make_optimizer(rate, clip_norm=config.clip_norm)


GAP = "_"  # in what a person writes


class TrainedSides(NamedTuple):
    """A model with its best parameters, and the characters that it knows."""

    config: SidesConfig
    params: Any
    vocabulary: Vocabulary


def prepare(
    config: SidesConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the text of a run, and says what to train and to measure."""
    reading = config.reading()
    known = known_characters(origin)
    options = {"characters": None, "held_out": config.held_out, "known": known}
    corpus = read_corpus(config.text, reading, **options)
    reading.tell()
    new = corpus.vocabulary.characters[len(known) :]
    if origin is not None and has_gaps(config.task) and new:
        raise ValueError(
            f"{config.text} has characters that {origin.path} does not know: {' '.join(new[:20])}. "
            f"A model of the task {config.task} cannot learn new characters, because the token of "
            "a gap follows the known ones."
        )
    return Prepared(
        make_training(config, corpus),
        lambda folder, console: measure(load_sides(folder), corpus),
        files={VOCABULARY: corpus.vocabulary.save},
        learned={"vocabulary": corpus.vocabulary.digest},
        grows=("rnn", "w", "b"),
    )


def load_sides(folder: RunFolder) -> TrainedSides:
    """The best checkpoint of a run, from its folder alone."""
    config = SidesConfig.of(folder)
    vocabulary = Vocabulary.load(folder.path / VOCABULARY, folder.settings["vocabulary"])
    make = functools.partial(init_sides, config, len(vocabulary.characters))
    best = best_of(folder, make_sides_optimizer(config, num_steps=1), make)
    return TrainedSides(config, best.params, vocabulary)


def measure(trained: TrainedSides, corpus: Corpus) -> dict[str, float]:
    """The measures of the text that was held out, and for each way to look at it its own."""
    config = trained.config
    num_characters = len(corpus.vocabulary.characters)
    batches = minibatches(config, corpus.held_out, num_characters)
    eval_step = make_eval_step(make_loss(config.task, config.models))
    means = evaluate(eval_step, trained.params, batches)
    metrics = measures(means["loss"]) | {"accuracy": means["accuracy"]}
    read = evaluate(eval_step, trained.params, minibatches(config, corpus.train, num_characters))
    metrics |= {"training_perplexity": measures(read["loss"])["perplexity"]}
    if config.task == "elmo":
        for side in ("fwd", "bwd"):
            metrics |= {f"{side}_perplexity": measures(means[side])["perplexity"]}
    if config.task == "leaky":
        eval_step = make_eval_step(make_written_loss(config.models.fwd))
        means = evaluate(eval_step, trained.params, batches)
        metrics |= {f"written_{name}": value for name, value in measures(means["loss"]).items()}
        metrics |= {"written_accuracy": means["accuracy"]}
    return metrics


def write(trained: TrainedSides, prefix: str, *, length: int, drawing: Drawing, seed: int) -> str:
    """Goes on from a prefix, with a model that predicts what follows."""
    config, params = trained.config, trained.params
    if config.task == "elmo":
        params = half(params, "fwd")
    options = {"length": length, "drawing": drawing, "key": jax.random.key(seed)}
    tokens = trained.vocabulary.encode(prefix, f"The prefix {prefix!r}")
    return prefix + trained.vocabulary.decode(
        list(generate(config.models.fwd, params, tokens, **options))
    )


def fill(trained: TrainedSides, text: str) -> str:
    """Fills the gaps, written `_`, of a text: the surest character first, and so on.

    Raises:
      ValueError: if there is no gap, or a character that the model has never seen.
    """
    if GAP not in text:
        raise ValueError(f"There is no gap in {text!r}: write {GAP} for each missing character.")
    hidden = np.array([character == GAP for character in text])
    known = text.replace(GAP, trained.vocabulary.characters[0])
    tokens = trained.vocabulary.encode(known, f"The text {text!r}")
    missing = len(trained.vocabulary.characters)
    while hidden.any():
        read = np.where(hidden, missing, tokens)[None]
        logits = score_fresh(trained.config.models.fwd, trained.params, jnp.asarray(read))[0]
        probabilities = np.where(hidden[:, None], jax.nn.softmax(logits), 0)
        place, token = np.unravel_index(probabilities.argmax(), probabilities.shape)
        tokens[place], hidden[place] = token, False
    return trained.vocabulary.decode(tokens)


def is_filling(trained: TrainedSides) -> bool:
    """Whether the model fills gaps from both sides."""
    return trained.config.task in ("masked", "gap") and direction_of(trained.config.task) == "both"
