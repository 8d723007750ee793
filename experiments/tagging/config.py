"""The settings of a tagger of words, and what follows from them."""

import dataclasses
import pathlib
from typing import Any, Literal

import jax

from experiments.runner.loop import LossFn
from experiments.tagging.model import WordTagger, init_word_tagger, score, tagging_totals
from experiments.tagging.settings import WordSettings
from experiments.tagging.vocabulary import Vocabulary

BUNDLED = pathlib.Path(__file__).parents[1] / "data" / "pos_ewt_tiny.tsv.gz"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaggingConfig(WordSettings):
    """Everything that decides the outcome of a run."""

    train: pathlib.Path = BUNDLED
    """Training data: CoNLL-U, or tab-separated columns form, UPOS[, XPOS], with a blank line after
    each sentence; plain or .gz. Of a file with lines "# split = train" that part is read."""
    dev: pathlib.Path = BUNDLED
    """Development data, which decides which checkpoint is best. Formats as for --train."""
    test: pathlib.Path = BUNDLED
    """Test data, looked at once, after training. Formats as for --train."""
    tags: Literal["upos", "xpos"] = "upos"
    """Which tags to learn: the 17 universal ones, or those of the language."""


def make_loss(model: WordTagger) -> LossFn:
    """The loss function of training, evaluation and tests."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Any]:
        return tagging_totals(score(model, params, batch, key), batch)

    return loss_fn


def init_params(config: TaggingConfig, vocabulary: Vocabulary, key: jax.Array) -> Any:
    """The parameters before training; consumes `key`."""
    return init_word_tagger(
        config.tagger, key, num_tags=len(vocabulary.tags), **config.sizes(vocabulary)
    )
