"""What the decoder knows of the source, and one step of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._core.checks import as_array, check_made_by
from ..._core.dtypes import product, widen
from ..._core.masks import Lengths, Mask, Segments, named_valid_steps
from ..._core.meshes import over_rows
from ..._stacks.dropout import dropout as apply_dropout
from ..._stacks.stack import stack, stack_lengths
from ...heads._attention import additive_attention, general_attention
from ...heads._bridge import bridge
from ...kernels.keys import fold_in_number, row_keys
from ..embedding import read_inputs
from ..readouts import final_states
from .model import Seq2Seq, Seq2SeqParams, check_model

STATES, WORDS, FED, READS = (2**31 - number for number in range(2, 6))  # no layer's number


class Memory(NamedTuple):
    """What the decoder knows of the source."""

    states: jax.Array  # [B, T, S]
    valid: jax.Array  # [B, T] bool
    summary: jax.Array  # [B, S'], the final states of the top layer


class DecoderState(NamedTuple):
    """What the decoder hands on from step to step."""

    carry: Any
    fed: jax.Array  # [B, E], a of the step before


@over_rows("source")
def seq2seq_encode(
    model: Seq2Seq,
    params: Seq2SeqParams,
    source: jax.Array,
    lengths: Lengths = None,
    *,
    dropout: float | jax.Array = 0.0,
    key: jax.Array | None = None,
) -> tuple[Memory, DecoderState]:
    """Reads the source.

    Args:
      model: as given to `init_seq2seq`; static under `jax.jit`, or an argument as any other.
      params: from `init_seq2seq`.
      source: features `[B, T, D]`; tokens `[B, T]`, integers, if the params have an embedding.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.
      dropout: rate between layers and of the states, while there is a `key`.
      key: consumed; one key or `[B]` keys as in `birnn_jax.dropout`.

    Returns:
      memory: `Memory`, what the decoder knows of the source.
      state: `DecoderState` before the first token.

    Raises:
      ValueError, TypeError: as `stack`; also for `Segments`.

    Example:
      >>> from birnn_jax.models import Seq2Seq, init_seq2seq, seq2seq_encode, seq2seq_step
      >>> model = Seq2Seq(LSTM, GRU, begin=1, end=2)
      >>> params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=50, num_tokens=90)
      >>> memory, state = seq2seq_encode(model, params, jnp.array([[7, 40, 2]]))
      >>> first = jnp.array([model.begin])
      >>> state, logits, weights = seq2seq_step(model, params, memory, state, tokens=first)
      >>> logits.shape, weights.shape
      ((1, 50), (1, 3))
    """
    check_model(model)
    check_made_by("init_seq2seq", Seq2SeqParams, params)
    if isinstance(lengths, Segments):
        raise ValueError(
            "A decoder writes one sequence a row: lengths must be integers or a Mask, got Segments."
        )
    source = as_array("source", source)
    keys = None if key is None else row_keys(key, source.shape[0])
    xs = read_inputs(params.source, source, lengths, rates=(dropout, 0.0), key=keys)
    carries, states = stack(model.layers, params.encoder, xs, lengths, dropout=dropout, key=keys)
    lengths = stack_lengths(model.layers, lengths)
    states = apply_dropout(states, dropout, fold_in_number(keys, STATES))
    memory = Memory(
        states, named_valid_steps(states, lengths, name="source"), final_states(carries[-1])
    )
    carry = bridge(params.bridge, carries[-1])
    fed = jnp.zeros([states.shape[0], params.target.shape[1]], states.dtype)
    return memory, DecoderState(carry, fed)


@over_rows("tokens")
def seq2seq_step(
    model: Seq2Seq,
    params: Seq2SeqParams,
    memory: Memory,
    state: DecoderState,
    *,
    tokens: jax.Array,
) -> tuple[DecoderState, jax.Array, jax.Array]:
    """Reads one token of each target, and scores the next.

    Args:
      model: as given to `init_seq2seq`.
      params: from `init_seq2seq`.
      memory: from `seq2seq_encode`.
      state: from `seq2seq_encode`, or from the step before.
      tokens: `[B]` integers; `model.begin` first.

    Returns:
      state: after the token.
      logits: `[B, K]`, of the next token.
      weights: `[B, T]`, of attention; without attention equal ones at the valid steps.

    Raises:
      TypeError: if the tokens are not integers.

    Example:
      >>> from birnn_jax.models import Seq2Seq, init_seq2seq, seq2seq_encode, seq2seq_step
      >>> model = Seq2Seq(GRU, GRU, begin=1, end=2, attention="none")
      >>> params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=50)
      >>> memory, state = seq2seq_encode(model, params, jnp.zeros([2, 5, 3]), jnp.array([5, 2]))
      >>> first = jnp.array([1, 1])
      >>> state, logits, weights = seq2seq_step(model, params, memory, state, tokens=first)
      >>> weights[1].tolist()
      [0.5, 0.5, 0.0, 0.0, 0.0]
    """
    check_model(model)
    words = look_up(params.target, as_array("tokens", tokens))
    state, weights = read(model, params, memory, state, words)
    return state, score(params, state.fed), weights


def read(
    model: Seq2Seq, params: Seq2SeqParams, memory: Memory, state: DecoderState, words: jax.Array
) -> tuple[DecoderState, jax.Array]:
    """The state after the embedded tokens `[B, E]`, and the weights of attention `[B, T]`."""
    xs = jnp.concatenate([words, state.fed], axis=-1)
    carry, hs = jax.vmap(model.cell.step, in_axes=(None, 0, 0))(params.decoder, state.carry, xs)
    contexts, weights = _attend(model, params, memory, hs)
    fed = jnp.tanh(product(jnp.concatenate([hs, contexts], axis=-1), params.w))
    return DecoderState(carry, fed.astype(state.fed.dtype)), weights


def score(params: Seq2SeqParams, fed: jax.Array) -> jax.Array:
    bias = widen(params.b)
    return product(fed, params.target.T) + bias.reshape((1,) * (fed.ndim - 1) + (-1,))


def look_up(embedding: jax.Array, tokens: jax.Array) -> jax.Array:
    """`[..., E]`; tokens that are none, as in padding, have a row of any kind."""
    return embedding[jnp.clip(tokens, 0, len(embedding) - 1)]


def _attend(
    model: Seq2Seq, params: Seq2SeqParams, memory: Memory, hs: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Contexts `[B, S]` and weights `[B, T]`."""
    if model.attention == "none":
        share = 1 / jnp.maximum(memory.valid.sum(axis=1, keepdims=True), 1)
        return memory.summary, jnp.where(memory.valid, share, 0).astype(hs.dtype)
    queries, valid = hs[:, None], Mask(memory.valid)
    if model.attention == "additive":
        contexts, weights = additive_attention(params.attention, queries, memory.states, valid)
    else:
        queries = queries * memory.states.shape[2] ** -0.5
        contexts, weights = general_attention(params.attention, queries, memory.states, valid)
    return contexts[:, 0], weights[:, 0]
