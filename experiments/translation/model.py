"""The translator: `birnn_jax.models.seq2seq` over subwords, and what it may write."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from birnn_jax.data import row_keys
from birnn_jax.models import DecoderState, Memory, Seq2SeqParams, init_seq2seq, seq2seq
from birnn_jax.models import seq2seq_step as read
from experiments.translation.config import Translator
from experiments.translation.subwords import BEGIN, END


def init_params(
    model: Translator,
    key: jax.Array,
    *,
    source_size: int,
    target_size: int,
    embedding_size: int,
    hidden_size: int,
) -> Seq2SeqParams:
    """Makes the parameters for so many subwords; consumes `key`."""
    sizes = {"num_tokens": source_size, "num_classes": target_size}
    return init_seq2seq(model.network, key, embedding_size, hidden_size, **sizes)


def score(
    model: Translator,
    params: Seq2SeqParams,
    batch: dict[str, jax.Array],
    key: jax.Array | None,
    teacher_forcing: jax.Array | float = 1.0,
) -> tuple[jax.Array, jax.Array]:
    """Scores every subword at every place of the target, given what stands before it.

    Args:
      model: static.
      params: from `init_params`.
      batch: `source` `[B, T]` and `target` `[B, N]`, the end included, with their lengths; and in
        training `rows` `[B]`, which give each pair noise of its own, wherever it stands.
      key: of dropout and of what the decoder reads; None is evaluation.
      teacher_forcing: probability that the decoder reads the right subword before, where the model
        is scheduled.

    Returns:
      logits `[B, N, W]`, and weights of attention `[B, N, T]`.
    """
    return seq2seq(
        model.network,
        params,
        batch["source"],
        batch["target"],
        lengths=batch["source_lengths"],
        dropout=model.dropout,
        teacher_forcing=teacher_forcing if model.scheduled else None,
        key=None if key is None else row_keys(key, batch["rows"]),
    )


def make_step(model: Translator, params: Seq2SeqParams) -> Callable[..., Any]:
    """The step of a search, which writes subwords only, and the end, but not at once."""

    def step(memory: Memory, state: DecoderState, token: jax.Array) -> tuple[Any, jax.Array]:
        memory, state = jax.tree.map(lambda leaf: leaf[None], (memory, state))
        state, logits, _ = read(model.network, params, memory, state, tokens=token[None])
        subwords = jnp.arange(logits.shape[1])
        never = (subwords < END) | ((subwords == END) & (token == BEGIN))
        return jax.tree.map(lambda leaf: leaf[0], state), jnp.where(never, -jnp.inf, logits[0])

    return step
