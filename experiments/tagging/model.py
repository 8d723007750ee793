"""A tagger of words: word embeddings and a recurrence over characters, under a stack.

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
from birnn_jax import Bi, Cell, Layer, TaggerParams, Total, cells
from experiments.tagging.vocabulary import NO_CHARACTER, UNKNOWN_WORD

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


class WordTaggerParams(NamedTuple):
    """Parameters of `score`."""

    words: jax.Array  # [V, E]
    characters: jax.Array  # [C, F]
    speller: Bi[Any]
    tagger: TaggerParams


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
    key_words, key_characters, key_speller, key_tagger = jax.random.split(key, 4)
    return WordTaggerParams(
        words=0.1 * jax.random.normal(key_words, [num_words, word_size]),
        characters=0.1 * jax.random.normal(key_characters, [num_characters, character_size]),
        speller=birnn_jax.init_bidirectional(
            model.cell, key_speller, input_size=character_size, hidden_size=speller_size
        ),
        tagger=birnn_jax.init_tagger(
            model.layers,
            key_tagger,
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
    key_word, key_input, key_stack = _keys_of_rows(key, batch["rows"])
    words = batch["words"]
    if key_word is not None and model.word_dropout > 0:
        rate = model.word_dropout / (model.word_dropout + batch["counts"])
        words = jnp.where(_uniform(key_word, words.shape[1]) < rate, UNKNOWN_WORD, words)
    spelled = spell(model.cell, params, batch["characters"])
    xs = jnp.concatenate([params.words[words], spelled], axis=-1)
    xs = birnn_jax.dropout(xs, model.dropout, key_input)
    return birnn_jax.tagger(
        model.layers, params.tagger, xs, batch["lengths"], dropout=model.dropout, key=key_stack
    )


def spell(cell: Cell, params: WordTaggerParams, characters: jax.Array) -> jax.Array:
    """Reads the characters `[B, T, W]` of each word: `[B, T, 2 * speller_size]`."""
    flat = characters.reshape(-1, characters.shape[-1])
    lengths = (flat != NO_CHARACTER).sum(axis=-1)
    carry, _ = birnn_jax.bidirectional(cell, params.speller, params.characters[flat], lengths)
    return birnn_jax.final_states(carry).reshape(*characters.shape[:2], -1)


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


def _keys_of_rows(key: jax.Array | None, rows: jax.Array) -> tuple[jax.Array | None, ...]:
    """Three keys for each row: for words, for inputs, and for the stack."""
    if key is None:
        return None, None, None
    of_rows = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    return tuple(of_rows(key_site, rows) for key_site in jax.random.split(key, 3))


def _uniform(keys: jax.Array, num_steps: int) -> jax.Array:
    """`[B, T]` random numbers, a function of the row's key and the step only."""
    of_step = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    of_rows = jax.vmap(of_step, in_axes=(0, None))(keys, jnp.arange(num_steps))
    return jax.vmap(jax.vmap(jax.random.uniform))(of_rows)
