"""The settings of models that predict from one side or from both, and what follows from them."""

import dataclasses
import functools
import pathlib
from typing import Any

import jax
import optax

from birnn_jax import Bi, make_optimizer
from experiments.language.config import DATA
from experiments.language.model import CharModel, cell_with_init, init_params
from experiments.language.sides import (
    ElmoParams,
    Gaps,
    Task,
    all_gaps,
    direction_of,
    make_loss,
)
from experiments.language.text import Corpus
from experiments.language.windows import Minibatch, Whole, Windows
from experiments.runner.loop import Training

SHIJING = DATA / "charlm_zh_shijing.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SidesConfig:
    """Everything that decides the outcome of a run."""

    task: Task = "leaky"
    """What is predicted from what; see the top of experiments/language/sides.py."""
    text: pathlib.Path = SHIJING
    """The text to learn from: any text in UTF-8, plain or .gz."""
    held_out: float = 0.1
    """Share of the text, at its end, that is measured on."""
    hidden_size: int = 128
    """Hidden units of each direction of the GRU."""
    dropout: float = 0.2
    """Rate of dropout before the softmax layer, one mask for all steps."""
    gap: int = 4
    """Characters of a gap, in the tasks with gaps of several."""
    steps: int = 32
    """Characters of a window; states are zero at its ends."""
    batch_size: int = 16
    """Windows of a minibatch."""
    epochs: int = 12
    """Passes over the text."""
    learning_rate: float = 0.01
    """Highest learning rate of Adam; it falls as a cosine to nothing at the end."""
    clip_norm: float = 1.0
    """Longest gradient; a longer one is scaled down."""
    seed: int = 0
    """Seed of parameters, windows, gaps and dropout. The same seed gives the same run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        positive = ("hidden_size", "gap", "steps", "batch_size", "epochs", "learning_rate")
        for name in (*positive, "clip_norm", "held_out"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive.")
        for name in ("held_out", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 0 and below 1.")

    @property
    def models(self) -> Bi[CharModel]:
        """The static part of the model, or of the models of both directions."""
        make = functools.partial(CharModel, cell_with_init("gru", "torch"), 1, dropout=self.dropout)
        if self.task == "elmo":
            return Bi(make(direction="fwd"), make(direction="bwd"))
        one = make(direction=direction_of(self.task))
        return Bi(one, one)

    @property
    def gap_length(self) -> int:
        """Characters of a gap in this task."""
        return 1 if self.task == "masked" else self.gap


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


def minibatches(config: SidesConfig, tokens: Any, num_characters: int) -> list[Minibatch]:
    """Every character of a text, to be predicted once."""
    whole = Whole(tokens, steps=config.steps, batch_size=config.batch_size)[0]
    batches = [
        {name: leaf[number] for name, leaf in whole.items() if name != "fresh"}
        for number in range(len(whole["fresh"]))
    ]
    if not has_gaps(config.task):
        return batches
    return all_gaps(batches, gap=config.gap_length, missing=num_characters)


def has_gaps(task: Task) -> bool:
    """Whether characters are missing."""
    return task not in ("leaky", "elmo")


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
