"""A tagger of words: logits[t] = softmax layer over stack(x)[t], x being the words as vectors."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import Bi, Cell, Layer, TaggerParams, Total, cells
from experiments.runner.keys import keys_of_rows
from experiments.tagging.words import WordParams, WordReader, init_words, read_words

CELLS = {
    "elman": birnn_jax.ELMAN,
    "indrnn": cells.INDRNN,
    "gru": birnn_jax.GRU,
    "gru_reset_before": cells.GRU_RESET_BEFORE,
    "layer_norm_gru": cells.LAYER_NORM_GRU_BA,
    "mingru": cells.MINGRU,
    "lstm": birnn_jax.LSTM,
    "peephole_lstm": cells.PEEPHOLE_LSTM,
    "coupled_lstm": cells.COUPLED_LSTM,
    "layer_norm_lstm": cells.LAYER_NORM_LSTM_BA,
    "minlstm": cells.MINLSTM,
}
CellName = Literal[
    "elman",
    "indrnn",
    "gru",
    "gru_reset_before",
    "layer_norm_gru",
    "mingru",
    "lstm",
    "peephole_lstm",
    "coupled_lstm",
    "layer_norm_lstm",
    "minlstm",
]


class WordTagger(NamedTuple):
    """The shape of the model, and how it is regularised: everything static about it."""

    cell: Cell
    layers: tuple[Layer, ...]
    dropout: float
    word_dropout: float

    @property
    def reader(self) -> WordReader:
        """How it reads words."""
        return WordReader(self.cell, self.dropout, self.word_dropout)


class WordTaggerParams(NamedTuple):
    """Parameters of `score`."""

    words: jax.Array  # [V, E]
    characters: jax.Array  # [C, F]
    speller: Bi[Any]
    tagger: TaggerParams

    @property
    def reader(self) -> WordParams:
        """Those of the words."""
        return WordParams(self.words, self.characters, self.speller)


def init_word_tagger(
    model: WordTagger,
    key: jax.Array,
    *,
    num_words: int,
    num_characters: int,
    num_tags: int,
    word_size: int,
    character_size: int,
    speller_size: int,
    hidden_size: int,
) -> WordTaggerParams:
    """Makes the parameters; consumes `key`."""
    keys = jax.random.split(key, 4)
    reader = init_words(
        model.cell,
        keys[:3],
        num_words=num_words,
        num_characters=num_characters,
        word_size=word_size,
        character_size=character_size,
        speller_size=speller_size,
    )
    return WordTaggerParams(
        *reader,
        tagger=birnn_jax.init_tagger(
            model.layers,
            keys[3],
            input_size=word_size + 2 * speller_size,
            hidden_size=hidden_size,
            num_classes=num_tags,
        ),
    )


def score(
    model: WordTagger,
    params: WordTaggerParams,
    batch: Mapping[str, jax.Array],
    key: jax.Array | None,
) -> jax.Array:
    """Scores every tag for every word: logits `[B, T, K]`; no dropout where `key` is None.

    What is dropped in a row depends on `key` and on `batch["rows"]`, not on the rest of the batch.
    """
    key_word, key_input, key_stack = keys_of_rows(key, batch["rows"], 3)
    xs = read_words(model.reader, params.reader, batch, key_word, key_input)
    return birnn_jax.tagger(
        model.layers, params.tagger, xs, batch["lengths"], dropout=model.dropout, key=key_stack
    )


def tagging_totals(logits: jax.Array, batch: Mapping[str, jax.Array]) -> dict[str, Total]:
    """Loss and accuracy over the words of a batch.

    A word whose tag was not in training (label -1) has no loss, and counts as wrong.
    """
    valid = jnp.arange(logits.shape[1])[None] < batch["lengths"][:, None]
    labels = batch["labels"]
    return {
        "loss": birnn_jax.cross_entropy(logits, labels, valid & (labels >= 0)),
        "accuracy": birnn_jax.accuracy(logits, labels, valid),
    }
