"""Words as vectors, and a tagger of words over them.

    spelled[t] = [h_fwd(n), h_bwd(1)] of a bidirectional recurrence over the n characters of word t
    x[t]       = dropout([embedding(word t), spelled[t]])
    logits[t]  = softmax layer over stack(x)[t]

A rare word is sometimes read as the unknown word in training, with probability a / (a + count), so
that the unknown word gets an embedding and the characters have to carry meaning.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import Bi, Cell, Layer, cells
from birnn_jax.models import TaggerParams
from experiments.runner.data.keys import keys_of_rows
from experiments.words.data import NO_CHARACTER, UNKNOWN_WORD


class WordReader(NamedTuple):
    """How words are read: everything static about it."""

    cell: Cell
    dropout: float
    word_dropout: float


class WordParams(NamedTuple):
    """Parameters of `read_words`."""

    words: jax.Array  # [V, E]
    characters: jax.Array  # [C, F]
    speller: Bi[Any]


def init_words(
    cell: Cell,
    key: jax.Array,
    *,
    num_words: int,
    num_characters: int,
    word_size: int,
    character_size: int,
    speller_size: int,
) -> WordParams:
    """Makes the parameters; consumes `key`, of three keys."""
    key_words, key_characters, key_speller = key
    return WordParams(
        words=0.1 * jax.random.normal(key_words, [num_words, word_size]),
        characters=0.1 * jax.random.normal(key_characters, [num_characters, character_size]),
        speller=birnn_jax.init_bidirectional(
            cell, key_speller, input_size=character_size, hidden_size=speller_size
        ),
    )


def read_words(
    reader: WordReader,
    params: WordParams,
    batch: Mapping[str, jax.Array],
    key_word: jax.Array | None,
    key_input: jax.Array | None,
) -> jax.Array:
    """The words of a batch as vectors `[B, T, E + 2 * speller_size]`.

    Args:
      reader: how.
      params: from `init_words`.
      batch: words, counts `[B, T]` and characters `[B, T, W]`, as an `Encoder` makes them.
      key_word: `[B]` keys of the words that are read as unknown; None reads all as they are.
      key_input: `[B]` keys of dropout; None drops nothing.
    """
    words = batch["words"]
    if key_word is not None and reader.word_dropout > 0:
        rate = reader.word_dropout / (reader.word_dropout + batch["counts"])
        words = jnp.where(_uniform(key_word, words.shape[1]) < rate, UNKNOWN_WORD, words)
    spelled = spell(reader.cell, params, batch["characters"])
    xs = jnp.concatenate([params.words[words], spelled], axis=-1)
    return birnn_jax.dropout(xs, reader.dropout, key_input)


def spell(cell: Cell, params: WordParams, characters: jax.Array) -> jax.Array:
    """Reads the characters `[B, T, W]` of each word: `[B, T, 2 * speller_size]`."""
    flat = characters.reshape(-1, characters.shape[-1])
    lengths = (flat != NO_CHARACTER).sum(axis=-1)
    carry, _ = birnn_jax.bidirectional(cell, params.speller, params.characters[flat], lengths)
    return birnn_jax.final_states(carry).reshape(*characters.shape[:2], -1)


def _uniform(keys: jax.Array, num_steps: int) -> jax.Array:
    """`[B, T]` random numbers, a function of the row's key and the step only."""
    of_step = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    of_rows = jax.vmap(of_step, in_axes=(0, None))(keys, jnp.arange(num_steps))
    return jax.vmap(jax.vmap(jax.random.uniform))(of_rows)


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
