"""The settings of a language model over characters, and what follows from them."""

import dataclasses
import functools
import pathlib
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from birnn_jax import Total, accuracy, cross_entropy, make_optimizer
from experiments.language.model import (
    CharModel,
    Direction,
    Initializer,
    cell_with_init,
    init_params,
    initial_carry,
    score,
)
from experiments.language.text import Corpus
from experiments.language.windows import Sampling, Whole, Windows
from experiments.runner.averaging import average_of, with_average
from experiments.runner.carried import CarriedLossFn
from experiments.runner.loop import Training
from experiments.runner.settings import require

DATA = pathlib.Path(__file__).parents[1] / "data"
TATOEBA = DATA / "charlm_zh_tatoeba_10k.txt"
_METHODS = {"adam": optax.adam, "sgd": optax.sgd}
_POSITIVE = (
    *("layers", "hidden_size", "steps", "batch_size", "epochs", "learning_rate", "clip_norm"),
    *("epochs_per_evaluation",),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageConfig:
    """Everything that decides the outcome of a run."""

    text: pathlib.Path = TATOEBA
    """The text to learn from: any text in UTF-8, plain or .gz."""
    characters: int | None = None
    """How many characters of the text to use, from its beginning; all if not given."""
    held_out: float = 0.1
    """Share of the text, at its end, that is not trained on but measured on. With 0 the checkpoint
    that does best on the text trained on is the best."""

    cell: Literal["elman", "gru", "lstm"] = "lstm"
    """Recurrent cell."""
    direction: Direction = "fwd"
    """Directions in which the text is read. With "both" the model reads what it is to predict."""
    layers: int = 1
    """Recurrent layers."""
    hidden_size: int = 256
    """Hidden units of each layer and direction."""
    residual: bool = False
    """A residual connection around each layer but the first."""
    layer_norm: bool = False
    """Layer normalisation of what each layer but the first reads."""
    init: Initializer = "torch"
    """How weights start: "normal", N(0, 0.01^2) and no bias; "torch", uniform as in torch.nn;
    "orthogonal", recurrent weights orthogonal gate by gate and a forget bias of one."""
    dropout: float = 0.0
    """Rate of dropout between layers and before the softmax layer, one mask for all steps."""

    sampling: Sampling = "adjacent"
    """Minibatches of windows that go on where those before stopped, the state being carried over
    and its gradient stopped; or of windows in random order, each from a state of zeros."""
    steps: int = 35
    """Characters of a window."""
    batch_size: int = 32
    """Windows of a minibatch."""
    epochs: int = 160
    """Passes over the text."""
    method: Literal["adam", "sgd"] = "adam"
    """Optimiser."""
    learning_rate: float = 0.01
    """Highest learning rate."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Learning rate over the run: the same throughout, or rising for the first 2 % and then
    falling as a cosine to nothing at the end."""
    clip_norm: float = 0.01
    """Longest gradient; a longer one is scaled down."""
    average_decay: float = 0.0
    """Decay of the average of the parameters that is evaluated; 0 is no average."""
    epochs_per_evaluation: int = 10
    """Passes from one evaluation, and one checkpoint, to the next."""
    seed: int = 0
    """Seed of parameters, order of the windows and dropout. The same seed gives the same run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        for name in _POSITIVE:
            require(getattr(self, name) > 0, f"{name} must be positive")
        require(self.characters is None or self.characters > 1, "characters must be at least 2")
        for name in ("dropout", "average_decay", "held_out"):
            require(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1")
        for name in ("residual", "layer_norm"):
            has_effect = self.layers > 1 or not getattr(self, name)
            require(has_effect, f"{name} must have a layer to act on: give 2 layers or more")

    @property
    def model(self) -> CharModel:
        """The static part of the model."""
        return CharModel(
            cell=cell_with_init(self.cell, self.init),
            num_layers=self.layers,
            direction=self.direction,
            residual=self.residual,
            layer_norm=self.layer_norm,
            dropout=self.dropout,
        )

    @property
    def carry(self) -> Any:
        """The carry before the first minibatch."""
        return initial_carry(self.model, self.hidden_size, self.batch_size)


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
