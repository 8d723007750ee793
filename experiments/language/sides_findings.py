"""What models of one side and of both know: measures, the Jacobian, and what they write."""

import dataclasses
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from birnn_jax import Bi, make_eval_step
from experiments.language.generate import Drawing, generate
from experiments.language.sides import (
    direction_of,
    half,
    make_loss,
    make_written_loss,
    score_both,
    score_fresh,
)
from experiments.language.sides_config import (
    SidesConfig,
    init_sides,
    make_sides_optimizer,
    make_training,
    minibatches,
)
from experiments.language.text import Corpus, Vocabulary, read_corpus
from experiments.language.trained import VOCABULARY, measures
from experiments.runner import loop
from experiments.runner.folder import RunFolder
from experiments.runner.results import write_result

GAP = "_"  # in what a person writes


class TrainedSides(NamedTuple):
    """A model with its best parameters, and the characters that it knows."""

    config: SidesConfig
    params: Any
    vocabulary: Vocabulary


def train_sides(
    path: pathlib.Path, config: SidesConfig, console: Console, *, experiment: str
) -> RunFolder:
    """Trains to the end and measures, goes on with what was stopped, and repeats nothing."""
    corpus = read_corpus(config.text, characters=None, held_out=config.held_out)
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k != "text"}
    folder = RunFolder.start(
        path,
        experiment=experiment,
        settings=settings | {"vocabulary": corpus.vocabulary.digest},
        data={"text": config.text},
    )
    if (path / "result.json").exists():
        return folder
    corpus.vocabulary.save(folder.path / VOCABULARY)
    loop.fit(folder, make_training(config, corpus), console)
    metrics = measure(load_sides(folder), corpus)
    write_result(folder, metrics)
    return folder


def load_sides(folder: RunFolder) -> TrainedSides:
    """The best checkpoint of a run, from its folder alone."""
    names = {field.name for field in dataclasses.fields(SidesConfig)}
    settings = {name: value for name, value in folder.settings.items() if name in names}
    config = SidesConfig(**settings, text=pathlib.Path(folder.config["data"]["text"]["path"]))
    vocabulary = Vocabulary.load(folder.path / VOCABULARY, folder.settings["vocabulary"])
    optimizer = make_sides_optimizer(config, num_steps=1)

    def make(key: jax.Array) -> Any:
        params = init_sides(config, len(vocabulary.characters), key)
        return loop.init_train_state(params, optimizer)

    like = jax.eval_shape(make, jax.random.key(0))
    return TrainedSides(config, loop.best_state(folder, like).params, vocabulary)


def measure(trained: TrainedSides, corpus: Corpus) -> dict[str, float]:
    """The measures of the text that was held out, and for each way to look at it its own."""
    config = trained.config
    num_characters = len(corpus.vocabulary.characters)
    batches = minibatches(config, corpus.held_out, num_characters)
    eval_step = make_eval_step(make_loss(config.task, config.models))
    means = loop.evaluate(eval_step, trained.params, batches)
    metrics = measures(means["loss"]) | {"accuracy": means["accuracy"]}
    read = loop.evaluate(
        eval_step, trained.params, minibatches(config, corpus.train, num_characters)
    )
    metrics |= {"training_perplexity": measures(read["loss"])["perplexity"]}
    if config.task == "elmo":
        for side in ("fwd", "bwd"):
            metrics |= {f"{side}_perplexity": measures(means[side])["perplexity"]}
    if config.task == "leaky":
        eval_step = make_eval_step(make_written_loss(config.models.fwd))
        means = loop.evaluate(eval_step, trained.params, batches)
        metrics |= {f"written_{name}": value for name, value in measures(means["loss"]).items()}
        metrics |= {"written_accuracy": means["accuracy"]}
    return metrics


def sensitivity(trained: TrainedSides, tokens: np.ndarray) -> Bi[np.ndarray]:
    """How the log-probability of each target depends on each character that is read, exactly.

    Entry [t, s] is the norm of the gradient with respect to the one-hot vector of character s, of
    the log-probability of the character that is predicted at t. Both arrays, `[T, T]`, are the
    same but for `elmo`, which has one for each direction.

    Args:
      trained: of a task without gaps.
      tokens: `[T + 1]`.
    """
    models, params = trained.config.models, trained.params
    num_read = len(trained.vocabulary.characters)
    inputs, labels = (jax.nn.one_hot(side[None], num_read) for side in (tokens[:-1], tokens[1:]))

    def of_fwd(read: jax.Array) -> jax.Array:
        if trained.config.task == "elmo":
            logits = score_both(models, params, {"inputs": read, "labels": labels}, None).fwd
        else:
            logits = score_fresh(models.fwd, params, read)
        return _log_probabilities(logits, tokens[1:])

    def of_bwd(read: jax.Array) -> jax.Array:
        logits = score_both(models, params, {"inputs": inputs, "labels": read}, None).bwd
        return _log_probabilities(logits, tokens[:-1])

    fwd = _norms(jax.jacrev(of_fwd)(inputs))
    return Bi(fwd, _norms(jax.jacrev(of_bwd)(labels)) if trained.config.task == "elmo" else fwd)


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


def _log_probabilities(logits: jax.Array, targets: np.ndarray) -> jax.Array:
    return jnp.take_along_axis(jax.nn.log_softmax(logits[0]), targets[:, None], axis=-1)[:, 0]


def _norms(jacobian: jax.Array) -> np.ndarray:
    """`[T, T]` from `[T, 1, T, V]`."""
    return np.asarray(jnp.linalg.norm(jacobian[:, 0], axis=-1))
