"""Words as their characters spell them."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_array, as_size, check_cell, check_key, check_made_by
from .._core.meshes import over_rows
from .._core.types import Bi, Cell
from .._recurrence.bidirectional import bidirectional, init_bidirectional
from .embedding import embed, init_embedding
from .readouts import final_states


class CharacterEncoderParams(NamedTuple):
    """Parameters of `character_encoder`."""

    embedding: jax.Array  # [C, F]
    rnn: Bi


def init_character_encoder(
    cell: Cell, key: jax.Array, *, num_characters: int, character_size: int, hidden_size: int
) -> CharacterEncoderParams:
    """Makes the parameters of `character_encoder`.

    Args:
      cell: any `Cell`.
      key: consumed.
      num_characters: C of the vocabulary.
      character_size: features F of the vector of a character.
      hidden_size: hidden units H of each direction.

    Raises:
      ValueError, TypeError: as `init_bidirectional`.

    Example:
      >>> from birnn_jax.models import init_character_encoder
      >>> params = init_character_encoder(
      ...     LSTM, jax.random.key(0), num_characters=90, character_size=3, hidden_size=4
      ... )
      >>> params.embedding.shape
      (90, 3)
    """
    check_cell(cell)
    check_key(key)
    size = as_size("character_size", character_size)
    key_embedding, key_rnn = jax.random.split(key)
    return CharacterEncoderParams(
        embedding=init_embedding(key_embedding, as_size("num_characters", num_characters), size),
        rnn=init_bidirectional(cell, key_rnn, input_size=size, hidden_size=hidden_size),
    )


@over_rows("characters")
def character_encoder(
    cell: Cell,
    params: CharacterEncoderParams,
    characters: jax.Array,
    character_lengths: jax.Array | None = None,
) -> jax.Array:
    """Reads the characters of each word in both directions: `[h_fwd(n), h_bwd(1)]` of each.

    Beside an embedding of the words it tells the model of words that it has never seen.

    Args:
      cell: as given to `init_character_encoder`.
      params: from `init_character_encoder`.
      characters: `[B, T, W]` integers, W characters of each of T words. What stands behind the last
        character of a word is never used.
      character_lengths: `[B, T]` integers, the characters of each word; 0 in padding. None means
        that all W are valid.

    Returns:
      `[B, T, 2H]`. A word without characters has the initial state of the cell.

    Raises:
      ValueError: if the shapes do not fit.
      TypeError: if `characters` or `character_lengths` are not integers.

    Example:
      >>> from birnn_jax.models import character_encoder, init_character_encoder
      >>> params = init_character_encoder(
      ...     LSTM, jax.random.key(0), num_characters=90, character_size=3, hidden_size=4
      ... )
      >>> characters, lengths = jnp.array([[[5, 2, 7], [8, 0, 0]]]), jnp.array([[3, 1]])
      >>> spelled = character_encoder(LSTM, params, characters, lengths)
      >>> words = jax.random.normal(jax.random.key(1), [1, 2, 6])
      >>> jnp.concatenate([words, spelled], axis=-1).shape
      (1, 2, 14)

    References:
      Ling et al., Finding Function in Form, 2015; Lample et al., Neural Architectures for Named
      Entity Recognition, 2016.
    """
    check_made_by("init_character_encoder", CharacterEncoderParams, params)
    characters = as_array("characters", characters)
    if characters.ndim != 3:
        raise ValueError(f"characters must be [B, T, W], got shape {characters.shape}.")
    rows, width = characters.shape[:2], characters.shape[2]
    flat = characters.reshape(math.prod(rows), width)
    lengths = None
    if character_lengths is not None:
        lengths = as_array("character_lengths", character_lengths)
        if lengths.shape != rows:
            raise ValueError(
                f"character_lengths must be [B, T] = {rows} as in characters, got shape "
                f"{lengths.shape}."
            )
        lengths = lengths.ravel()
    xs = embed(params.embedding, flat, lengths, name="characters")
    carry, _ = bidirectional(cell, params.rnn, xs, lengths)
    return jnp.reshape(final_states(carry), (*rows, -1))
