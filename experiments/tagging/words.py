"""Words as vectors: an embedding of each word beside a recurrence over its characters.

    spelled[t] = [h_fwd(n), h_bwd(1)] of a bidirectional recurrence over the n characters of word t
    x[t]       = dropout([embedding(word t), spelled[t]])

A rare word is sometimes read as the unknown word in training, with probability a / (a + count), so
that the unknown word gets an embedding and the characters have to carry meaning.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import Bi, Cell
from experiments.tagging.vocabulary import NO_CHARACTER, UNKNOWN_WORD


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
