"""An encoder that reads a sentence in both directions, and a decoder that attends to it.

    states       = stack(embedding(source))                   both directions, side by side
    s[0]         = bridge(final states of both directions)
    s[i]         = cell(s[i-1], [embedding(y[i-1]), a[i-1]])   a[0] = 0
    c[i]         = attention of s[i] over the states          "additive" or "multiplicative"
                 = [h_fwd(n), h_bwd(1)], the same for all i    "none": the fixed vector
    a[i]         = tanh([s[i], c[i]] w)
    p(y[i])      = softmax(a[i] E^T + b)                       E, the embeddings of the target

The multiplicative score is divided by the root of the size of the states: Adam moves all of its
weights at once, and without that attention is stuck on one subword before it has learned which.

References:
  Bahdanau, Cho and Bengio, Neural Machine Translation by Jointly Learning to Align and Translate,
  2015 ("additive"); Luong, Pham and Manning, Effective Approaches to Attention-based Neural
  Machine Translation, 2015 ("multiplicative"; a[i], which is fed to the next step); Cho et al.,
  Learning Phrase Representations using RNN Encoder-Decoder, 2014 ("none").
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import birnn_jax
from birnn_jax import heads
from birnn_jax.stacks import LayerParams
from experiments.runner.data.keys import keys_of_rows
from experiments.translation.config import Translator
from experiments.translation.subwords import BEGIN, END


class TranslatorParams(NamedTuple):
    """Parameters."""

    source: jax.Array  # [V, E], embeddings
    target: jax.Array  # [W, E], embeddings, and the weights of the softmax layer
    encoder: tuple[LayerParams, ...]
    bridge: Any
    decoder: Any
    attention: Any  # None for the fixed vector
    w: jax.Array  # [H + S, E]
    b: jax.Array  # [W]


class Memory(NamedTuple):
    """What the decoder knows of the source."""

    states: jax.Array  # [B, T, S]
    lengths: jax.Array  # [B]
    summary: jax.Array  # [B, S], the final states of both directions


class State(NamedTuple):
    """What the decoder hands on from step to step."""

    carry: Any
    fed: jax.Array  # [B, E], a of the step before


def init_params(
    model: Translator,
    key: jax.Array,
    *,
    source_size: int,
    target_size: int,
    embedding_size: int,
    hidden_size: int,
) -> TranslatorParams:
    """Makes the parameters for so many subwords; consumes `key`."""
    states = 2 * hidden_size
    carry = jax.eval_shape(lambda key: model.cell.init_carry(model.cell.init(key, 1, 1)), key)
    ends = len(jax.tree.leaves(carry)) * states
    keys = jax.random.split(key, 7)
    attention = None
    if model.attention == "additive":
        attention = heads.init_additive_attention(
            keys[4], query_size=hidden_size, state_size=states, attention_size=hidden_size
        )
    elif model.attention == "multiplicative":
        attention = heads.init_general_attention(keys[4], query_size=hidden_size, state_size=states)
    glorot = jax.nn.initializers.glorot_uniform()
    embed = jax.nn.initializers.normal(embedding_size**-0.5)
    return TranslatorParams(
        source=embed(keys[0], (source_size, embedding_size)),
        target=embed(keys[1], (target_size, embedding_size)),
        encoder=birnn_jax.init_stack(
            model.layers, keys[2], input_size=embedding_size, hidden_size=hidden_size
        ),
        bridge=heads.init_bridge(model.cell, keys[3], input_size=ends, hidden_size=hidden_size),
        decoder=model.cell.init(keys[5], 2 * embedding_size, hidden_size),
        attention=attention,
        w=glorot(keys[6], (hidden_size + states, embedding_size)),
        b=jnp.zeros(target_size),
    )


def encode(
    model: Translator,
    params: TranslatorParams,
    source: jax.Array,
    lengths: jax.Array,
    keys: tuple[jax.Array | None, ...] = (None,) * 3,
) -> tuple[Memory, State]:
    """Reads sentences `[B, T]`; there is no dropout without keys, three times `[B]`."""
    key_words, key_stack, key_top = keys
    xs = birnn_jax.dropout(params.source[source], model.dropout, key_words)
    carries, states = birnn_jax.stack(
        model.layers, params.encoder, xs, lengths, dropout=model.dropout, key=key_stack
    )
    states = birnn_jax.dropout(states, model.dropout, key_top)
    summary = birnn_jax.final_states(carries[-1])
    carry = heads.bridge(params.bridge, carries[-1])
    fed = jnp.zeros([source.shape[0], params.target.shape[1]])
    return Memory(states, lengths, summary), State(carry, fed)


def advance(
    model: Translator,
    params: TranslatorParams,
    memory: Memory,
    state: State,
    words: jax.Array,
) -> tuple[State, jax.Array]:
    """Reads the words `[B, E]` before, embedded; `state.fed` scores the next.

    Returns:
      The state, and the weights of attention `[B, T]`, equal ones for the fixed vector.
    """
    xs = jnp.concatenate([words, state.fed], axis=-1)
    carry, hs = jax.vmap(model.cell.step, in_axes=(None, 0, 0))(params.decoder, state.carry, xs)
    contexts, weights = _attend(model, params, memory, hs)
    fed = jnp.tanh(jnp.concatenate([hs, contexts], axis=-1) @ params.w)
    return State(carry, fed), weights


def logits_of(params: TranslatorParams, fed: jax.Array) -> jax.Array:
    """Scores every subword of the target: `[..., E]` to `[..., W]`."""
    return fed @ params.target.T + params.b.reshape((1,) * (fed.ndim - 1) + (-1,))


def log_probs_of(params: TranslatorParams, fed: jax.Array, before: jax.Array) -> jax.Array:
    """Log-probabilities `[B, W]` of what can be written next, after the subwords `[B]` before it.

    Nothing but subwords and the end can be written, and the end not at once.
    """
    places = jnp.arange(params.b.shape[0])[None]
    never = (places < END) | ((places == END) & (before[:, None] == BEGIN))
    return jax.nn.log_softmax(jnp.where(never, -jnp.inf, logits_of(params, fed)))


def score(
    model: Translator,
    params: TranslatorParams,
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
      teacher_forcing: probability that the decoder reads the right subword before, and not the
        one that it held for the likeliest (scheduled sampling, Bengio et al. 2015).

    Returns:
      logits `[B, N, W]`, and weights of attention `[B, N, T]`.
    """
    key_words, key_fed, key_read, *keys = keys_of_rows(key, batch.get("rows"), 6)
    memory, state = encode(model, params, batch["source"], batch["source_lengths"], tuple(keys))
    right = jnp.pad(batch["target"], ((0, 0), (1, 0)), constant_values=BEGIN)[:, :-1]
    scheduled = model.scheduled and key_read is not None
    reads_right = jnp.ones(right.shape, bool)
    if model.scheduled and key_read is not None:
        draw = jax.vmap(lambda key: jax.random.uniform(key, right.shape[1:]))
        reads_right = (draw(key_read) < teacher_forcing).at[:, 0].set(True)
    kept = birnn_jax.dropout(jnp.ones([*right.shape, state.fed.shape[1]]), model.dropout, key_words)

    def step(carried: Any, now: Any) -> tuple[Any, Any]:
        state, own = carried
        gold, reads_gold, kept = now
        words = params.target[jnp.where(reads_gold, gold, own)] * kept
        state, weights = advance(model, params, memory, state, words)
        if scheduled:
            own = logits_of(params, jax.lax.stop_gradient(state.fed)).argmax(axis=-1)
        return (state, own), (state.fed, weights)

    along = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), (right, reads_right, kept))
    _, (fed, weights) = jax.lax.scan(step, (state, right[:, 0]), along)
    fed = birnn_jax.dropout(jnp.moveaxis(fed, 0, 1), model.dropout, key_fed)
    return logits_of(params, fed), jnp.moveaxis(weights, 0, 1)


def _attend(
    model: Translator, params: TranslatorParams, memory: Memory, hs: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Contexts `[B, S]` and weights `[B, T]`."""
    if model.attention == "none":
        valid = jnp.arange(memory.states.shape[1])[None] < memory.lengths[:, None]
        return memory.summary, valid / jnp.maximum(memory.lengths, 1)[:, None]
    queries = hs[:, None]
    if model.attention == "additive":
        attend = heads.additive_attention
    else:
        attend, queries = heads.general_attention, queries * memory.states.shape[2] ** -0.5
    contexts, weights = attend(params.attention, queries, memory.states, memory.lengths)
    return contexts[:, 0], weights[:, 0]
