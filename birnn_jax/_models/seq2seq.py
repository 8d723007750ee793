"""A sequence for a sequence: an encoder in both directions, and a decoder that attends to it.

states       = stack(embedding(source))
s[0]         = bridge(final states of the top layer)
s[i]         = cell(s[i-1], [embedding(y[i-1]), a[i-1]])    a[0] = 0
c[i]         = attention of s[i] over the states           "additive", "general"
             = the final states, the same for all i        "none"
a[i]         = tanh([s[i], c[i]] w)
p(y[i])      = softmax(a[i] E^T + b)                       E, the embedding of the target
"""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import (
    as_array,
    as_size,
    check_cell,
    check_choice,
    check_key,
    check_made_by,
)
from .._core.describe import describe
from .._core.dtypes import product, widen
from .._core.keys import row_keys
from .._core.masks import Lengths, Mask, Segments, named_valid_steps
from .._core.meshes import over_rows, scan
from .._core.types import Cell
from .._stacks.dropout import dropout as apply_dropout
from .._stacks.layer import LayerParams, Layers, as_layers
from .._stacks.stack import init_stack, stack, stack_lengths, stack_shapes
from ..heads._attention import (
    additive_attention,
    general_attention,
    init_additive_attention,
    init_general_attention,
)
from ..heads._beam_search import Hypotheses, beam_search, greedy_search
from ..heads._bridge import bridge, init_bridge
from .embedding import init_embedding, read_inputs
from .readouts import final_states

Attention = Literal["additive", "general", "none"]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Seq2Seq:
    """What an encoder and a decoder are. Their sizes are in the parameters.

    Args:
      layers: of the encoder, from the bottom to the top; with features `h` in the carry of the top.
      cell: of the decoder.
      begin: the token that the decoder reads first; it is never written.
      end: the token that ends a target.
      attention: how the decoder looks at the encoder: "additive" (Bahdanau et al.), "general"
        (Luong et al.; the scores divided by the root of the size of the states), or "none": the
        final states alone (Cho et al.).

    Raises:
      ValueError: for an unknown attention, or a token below 0.
      TypeError: if `layers` or `cell` are none.

    Example:
      >>> from birnn_jax.models import Seq2Seq
      >>> model = Seq2Seq((Layer(GRU),) * 2, GRU, begin=1, end=2, attention="general")

    References:
      Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014; Bahdanau, Cho and
      Bengio, Neural Machine Translation by Jointly Learning to Align and Translate, 2015; Luong,
      Pham and Manning, Effective Approaches to Attention-based Neural Machine Translation, 2015.
    """

    layers: Layers
    cell: Cell
    _: dataclasses.KW_ONLY
    begin: int
    end: int
    attention: Attention = "additive"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", as_layers(self.layers))
        check_cell(self.cell)
        for name in ("begin", "end"):
            object.__setattr__(self, name, as_size(name, getattr(self, name), least=0))
        check_choice("attention", self.attention, ("additive", "general", "none"))


class Seq2SeqParams(NamedTuple):
    """Parameters of `seq2seq`."""

    source: jax.Array | None  # [V, D], embedding; None in a model that reads features
    target: jax.Array  # [K, E], embedding, and the weights of the softmax layer
    encoder: tuple[LayerParams, ...]
    bridge: Any
    decoder: Any
    attention: Any  # None without attention
    w: jax.Array  # [H + S, E]
    b: jax.Array  # [K]


class Memory(NamedTuple):
    """What the decoder knows of the source."""

    states: jax.Array  # [B, T, S]
    valid: jax.Array  # [B, T] bool
    summary: jax.Array  # [B, S'], the final states of the top layer


class DecoderState(NamedTuple):
    """What the decoder hands on from step to step."""

    carry: Any
    fed: jax.Array  # [B, E], a of the step before


def init_seq2seq(
    model: Seq2Seq,
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    num_classes: int,
    num_tokens: int | None = None,
    target_size: int | None = None,
) -> Seq2SeqParams:
    """Makes the parameters of `seq2seq`.

    Args:
      model: what it is.
      key: consumed.
      input_size: features D of each step of the source, or of the vector of each token.
      hidden_size: hidden units H of each direction of the encoder, of the decoder and of additive
        attention.
      num_classes: tokens K of the target.
      num_tokens: tokens V of the source; None is a model that reads features.
      target_size: features E of the vector of each token of the target; None is `input_size`.

    Raises:
      ValueError, TypeError: as `init_stack`.

    Example:
      >>> from birnn_jax.models import Seq2Seq, init_seq2seq
      >>> model = Seq2Seq(LSTM, LSTM, begin=1, end=2)
      >>> params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=50, num_tokens=90)
      >>> params.source.shape, params.target.shape
      ((90, 3), (50, 3))
    """
    _check_model(model)
    check_key(key)
    hidden_size, input_size = as_size("hidden_size", hidden_size), as_size("input_size", input_size)
    size = input_size if target_size is None else as_size("target_size", target_size)
    num_classes = as_size("num_classes", num_classes)
    keys = jax.random.split(key, 7)
    encoder = init_stack(model.layers, keys[2], input_size=input_size, hidden_size=hidden_size)
    carries, ys = stack_shapes(model.layers, encoder, input_size)
    state_size = ys.shape[-1]
    summary_size = jax.eval_shape(final_states, carries[-1]).shape[-1]
    ends = sum(leaf.size for leaf in jax.tree.leaves(carries[-1]))
    attention, context_size = None, state_size
    if model.attention == "additive":
        sizes = {"query_size": hidden_size, "state_size": state_size}
        attention = init_additive_attention(keys[4], **sizes, attention_size=hidden_size)
    elif model.attention == "general":
        attention = init_general_attention(keys[4], query_size=hidden_size, state_size=state_size)
    else:
        context_size = summary_size
    glorot = jax.nn.initializers.glorot_uniform()
    return Seq2SeqParams(
        source=None if num_tokens is None else init_embedding(keys[0], num_tokens, input_size),
        target=init_embedding(keys[1], num_classes, size),
        encoder=encoder,
        bridge=init_bridge(model.cell, keys[3], input_size=ends, hidden_size=hidden_size),
        decoder=model.cell.init(keys[5], 2 * size, hidden_size),
        attention=attention,
        w=glorot(keys[6], (hidden_size + context_size, size)),
        b=jnp.zeros(num_classes),
    )


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
    _check_model(model)
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
    states = apply_dropout(states, dropout, _fold_in(keys, _STATES))
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
    _check_model(model)
    words = _look_up(params.target, as_array("tokens", tokens))
    state, weights = _read(model, params, memory, state, words)
    return state, _score(params, state.fed), weights


@over_rows("source")
def seq2seq(
    model: Seq2Seq,
    params: Seq2SeqParams,
    source: jax.Array,
    target: jax.Array,
    *,
    lengths: Lengths = None,
    dropout: float | jax.Array = 0.0,
    teacher_forcing: float | jax.Array | None = None,
    key: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Scores every token at every place of the target, given the right ones before it.

    `birnn_jax.cross_entropy(logits, target, target_lengths)` is the loss.

    Args:
      model: as given to `init_seq2seq`; static under `jax.jit`, or an argument as any other.
      params: from `init_seq2seq`.
      source: features `[B, T, D]`; tokens `[B, T]`, integers, if the params have an embedding.
      target: `[B, N]` integers, `model.end` included. What stands in padding does not matter.
      lengths: `[B]` integers, of the source, or a `Mask`; None means that all T steps are valid.
      dropout: rate of embedded tokens, between layers, of the states of the encoder and before the
        softmax layer, while there is a `key`.
      teacher_forcing: probability that the decoder reads the right token before and not the one
        that it held for the likeliest (scheduled sampling), while there is a `key`; None always
        reads the right one.
      key: consumed; one key or `[B]` keys as in `birnn_jax.dropout`.

    Returns:
      logits: `[B, N, K]`, in float32 at least.
      weights: `[B, N, T]`, of attention.

    Raises:
      ValueError, TypeError: as `seq2seq_encode`.

    Example:
      >>> from birnn_jax.models import Seq2Seq, init_seq2seq, seq2seq, seq2seq_decode
      >>> model = Seq2Seq(LSTM, LSTM, begin=1, end=2)
      >>> params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=50, num_tokens=90)
      >>> source, target = jnp.array([[7, 40, 2], [8, 2, 0]]), jnp.array([[30, 31, 2], [9, 2, 0]])
      >>> lengths, target_lengths = jnp.array([3, 2]), jnp.array([3, 2])
      >>> logits, weights = seq2seq(model, params, source, target, lengths=lengths)
      >>> loss = cross_entropy(logits, target, target_lengths)
      >>> found = seq2seq_decode(model, params, source, lengths, max_length=9, beam_width=4)
      >>> found.tokens.shape
      (2, 4, 9)

    References:
      Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks,
      2015 (teacher_forcing); beside those of `Seq2Seq`.
    """
    target = as_array("target", target)
    if target.ndim != 2 or not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"target must be tokens, integers [B, N], got {describe(target)}.")
    keys = None if key is None else row_keys(key, target.shape[0])
    memory, state = seq2seq_encode(model, params, source, lengths, dropout=dropout, key=keys)
    right = jnp.pad(target, ((0, 0), (1, 0)), constant_values=model.begin)[:, :-1]
    reads_right = jnp.ones(right.shape, bool)
    sampled = teacher_forcing is not None and keys is not None
    if teacher_forcing is not None and keys is not None:
        draw = jax.vmap(lambda key: jax.random.uniform(key, right.shape[1:]))
        drawn = draw(_fold_in(keys, _READS)) < teacher_forcing
        reads_right = drawn | (jnp.arange(right.shape[1]) == 0)[None]
    kept = jnp.ones([*right.shape, params.target.shape[1]], params.target.dtype)
    kept = apply_dropout(kept, dropout, _fold_in(keys, _WORDS))

    def step(carried: Any, now: Any) -> tuple[Any, Any]:
        state, own = carried
        gold, reads_gold, kept = now
        words = _look_up(params.target, jnp.where(reads_gold, gold, own)) * kept
        state, weights = _read(model, params, memory, state, words)
        if sampled:
            logits = _score(params, jax.lax.stop_gradient(state.fed))
            own = logits.argmax(axis=-1).astype(own.dtype)
        return (state, own), (state.fed, weights)

    along = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), (right, reads_right, kept))
    _, (fed, weights) = scan(step, (state, right[:, 0]), along)
    fed = apply_dropout(jnp.moveaxis(fed, 0, 1), dropout, _fold_in(keys, _FED))
    return _score(params, fed), jnp.moveaxis(weights, 0, 1)


@over_rows("source")
def seq2seq_decode(
    model: Seq2Seq,
    params: Seq2SeqParams,
    source: jax.Array,
    lengths: Lengths = None,
    *,
    max_length: int,
    beam_width: int | None = None,
    length_penalty: float = 0.0,
) -> Hypotheses:
    """Writes the likeliest targets, by `greedy_search` or `beam_search` of `birnn_jax.heads`.

    Args:
      model: as given to `init_seq2seq`.
      params: from `init_seq2seq`.
      source: features `[B, T, D]`, or tokens `[B, T]`.
      lengths: as in `seq2seq_encode`.
      max_length: tokens N of the longest target, the end included; a longer one is cut off.
      beam_width: hypotheses W of the beam search; None writes the likeliest token at every step.
      length_penalty: of the beam search; 0 is none.

    Returns:
      `Hypotheses`: tokens `[B, W, N]`, -1 behind them, without the end; lengths and scores
      `[B, W]`. Without a beam the axis W is missing.

    Raises:
      ValueError, TypeError: as `seq2seq_encode` and `beam_search`.

    Example:
      >>> from birnn_jax.models import Seq2Seq, init_seq2seq, seq2seq_decode
      >>> model = Seq2Seq(LSTM, LSTM, begin=1, end=2)
      >>> params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=50, num_tokens=90)
      >>> seq2seq_decode(model, params, jnp.array([[7, 40, 2]]), max_length=9).tokens.shape
      (1, 9)
    """
    memory, state = seq2seq_encode(model, params, source, lengths)
    never = jnp.arange(params.b.shape[0]) == model.begin

    def step(memory: Memory, state: DecoderState, token: jax.Array) -> Any:
        row = jax.tree.map(lambda leaf: leaf[None], (memory, state))
        state, logits, _ = seq2seq_step(model, params, *row, tokens=token[None])
        logits = jnp.where(never, -jnp.inf, logits[0])
        return jax.tree.map(lambda leaf: leaf[0], state), logits

    marks: dict[str, int] = {"begin": model.begin, "end": model.end, "max_length": max_length}
    if beam_width is None:
        return greedy_search(step, memory, state, **marks)
    return beam_search(
        step, memory, state, **marks, width=beam_width, length_penalty=length_penalty
    )


_STATES, _WORDS, _FED, _READS = (2**31 - number for number in range(2, 6))  # no layer's number


def _check_model(model: Any) -> None:
    if not isinstance(model, Seq2Seq):
        raise TypeError(
            "model must be a Seq2Seq, such as Seq2Seq(LSTM, LSTM, begin=1, end=2), got "
            f"{describe(model)}."
        )


def _fold_in(keys: jax.Array | None, number: int) -> jax.Array | None:
    return None if keys is None else jax.vmap(jax.random.fold_in, (0, None))(keys, number)


def _look_up(embedding: jax.Array, tokens: jax.Array) -> jax.Array:
    """`[..., E]`; tokens that are none, as in padding, have a row of any kind."""
    return embedding[jnp.clip(tokens, 0, len(embedding) - 1)]


def _score(params: Seq2SeqParams, fed: jax.Array) -> jax.Array:
    bias = widen(params.b)
    return product(fed, params.target.T) + bias.reshape((1,) * (fed.ndim - 1) + (-1,))


def _read(
    model: Seq2Seq, params: Seq2SeqParams, memory: Memory, state: DecoderState, words: jax.Array
) -> tuple[DecoderState, jax.Array]:
    """The state after the embedded tokens `[B, E]`, and the weights of attention `[B, T]`."""
    xs = jnp.concatenate([words, state.fed], axis=-1)
    carry, hs = jax.vmap(model.cell.step, in_axes=(None, 0, 0))(params.decoder, state.carry, xs)
    contexts, weights = _attend(model, params, memory, hs)
    fed = jnp.tanh(product(jnp.concatenate([hs, contexts], axis=-1), params.w))
    return DecoderState(carry, fed.astype(state.fed.dtype)), weights


def _attend(
    model: Seq2Seq, params: Seq2SeqParams, memory: Memory, hs: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Contexts `[B, S]` and weights `[B, T]`."""
    if model.attention == "none":
        share = 1 / jnp.maximum(memory.valid.sum(axis=1, keepdims=True), 1)
        return memory.summary, memory.valid * share.astype(hs.dtype)
    queries, valid = hs[:, None], Mask(memory.valid)
    if model.attention == "additive":
        contexts, weights = additive_attention(params.attention, queries, memory.states, valid)
    else:
        queries = queries * memory.states.shape[2] ** -0.5
        contexts, weights = general_attention(params.attention, queries, memory.states, valid)
    return contexts[:, 0], weights[:, 0]
