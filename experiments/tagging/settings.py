"""What all models over words have in common: their settings, and the optimiser."""

import dataclasses
from typing import Literal

import optax

from birnn_jax import Layer, make_optimizer
from experiments.runner.averaging import with_average
from experiments.tagging.model import CELLS, CellName, WordTagger
from experiments.tagging.vocabulary import Vocabulary

_POSITIVE = (
    *("layers", "hidden_size", "word_size", "character_size", "speller_size", "epochs"),
    *("tokens_per_batch", "buckets", "learning_rate", "clip_norm", "patience"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WordSettings:
    """How words are read by a stack, and how that is trained."""

    cell: CellName = "lstm"
    """Recurrent cell, of the characters and of the stack."""
    direction: Literal["both", "fwd", "bwd"] = "both"
    """Directions in which the stack reads the sentence. Characters are always read in both."""
    layers: int = 1
    """Recurrent layers over the words."""
    hidden_size: int = 128
    """Hidden units of each layer and direction."""
    word_size: int = 100
    """Size of the embedding of a word, which is looked up in lower case."""
    character_size: int = 32
    """Size of the embedding of a character."""
    speller_size: int = 64
    """Hidden units of each direction over the characters of a word."""
    word_width: int = 16
    """Characters read of a word; a longer word keeps as many from either end."""

    dropout: float = 0.4
    """Rate of dropout before the stack and between its layers."""
    word_dropout: float = 0.5
    """A word seen n times is read as unknown with probability a / (a + n); this is a."""
    epochs: int = 10
    """Passes over the training data, at most."""
    tokens_per_batch: int = 512
    """Words of a batch, padding included."""
    buckets: int = 4
    """Different lengths of padded batches, at most; each is compiled once."""
    learning_rate: float = 3e-3
    """Highest learning rate of Adam; it rises for the first 5 % of the run and falls as a cosine
    to nothing at its end."""
    clip_norm: float = 1.0
    """Longest gradient; a longer one is scaled down."""
    average_decay: float = 0.99
    """Decay of the average of the parameters that is evaluated; 0 is no average."""
    patience: int = 5
    """Evaluations on dev, one a pass, without a new best before training stops early."""
    seed: int = 0
    """Seed of parameters, order of the data and dropout. The same seed gives the same run."""

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        for name in _POSITIVE:
            _require(getattr(self, name) > 0, f"{name} must be positive")
        _require(self.word_width > 1, "word_width must be at least 2")
        _require(self.word_dropout >= 0, "word_dropout must not be negative")
        for name in ("dropout", "average_decay"):
            _require(0 <= getattr(self, name) < 1, f"{name} must be at least 0 and below 1")

    @property
    def tagger(self) -> WordTagger:
        """The static part of a tagger of words."""
        cell = CELLS[self.cell]
        layers = (Layer(cell, direction=self.direction),) * self.layers
        return WordTagger(cell, layers, self.dropout, self.word_dropout)

    def sizes(self, vocabulary: Vocabulary) -> dict[str, int]:
        """The sizes of the parameters that know words."""
        names = ("word_size", "character_size", "speller_size", "hidden_size")
        return {
            "num_words": vocabulary.num_words,
            "num_characters": vocabulary.num_characters,
            **{name: getattr(self, name) for name in names},
        }


def make_word_optimizer(settings: WordSettings, *, num_steps: int) -> optax.GradientTransformation:
    """Clipping, Adam with a warm-up and a cosine, and the average of the parameters."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, warmup_steps=num_steps // 20 + 1, decay_steps=num_steps + 1
    )
    return with_average(
        make_optimizer(schedule, clip_norm=settings.clip_norm), settings.average_decay
    )


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(f"{sentence}.")
