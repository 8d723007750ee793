"""Greedy search and beam search: the likeliest sequences that a model writes step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_size, check_number
from .._core.meshes import over_rows, vary

DecoderStep = Callable[[Any, Any, jax.Array], tuple[Any, jax.Array]]
"""`(context, state, token []) -> (state, logits [V])`, of one hypothesis of one row."""


class Hypotheses(NamedTuple):
    """Sequences that were found, best first; from `greedy_search` one a row, without the axis W."""

    tokens: jax.Array  # [B, W, N] int32, from the left, -1 behind them; without the end
    lengths: jax.Array  # [B, W] int32
    scores: jax.Array  # [B, W], minus infinity where there are fewer than W


@over_rows("state")
def greedy_search(
    step: DecoderStep, context: Any, state: Any, *, begin: int, end: int, max_length: int
) -> Hypotheses:
    """Writes the likeliest token at every step, until the end.

    Args:
      step: reads the token before, as in `beam_search`.
      context: as in `beam_search`.
      state: before the first token, leaves `[B, ...]`.
      begin: the first token that is read.
      end: the token that ends a sequence.
      max_length: tokens N of the longest sequence, its end included; a longer one is cut off.

    Returns:
      `Hypotheses` of one sequence a row: tokens `[B, N]`, lengths and scores `[B]`, the sums of the
      log-probabilities.

    Raises:
      ValueError: if `max_length` is below 1, or the state has no array.

    Example:
      >>> from birnn_jax.heads import greedy_search
      >>> follows = jnp.array([[0.0, 3.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]])
      >>> step = lambda context, state, token: (state, follows[token])
      >>> found = greedy_search(step, None, jnp.zeros([1]), begin=0, end=2, max_length=5)
      >>> found.tokens.tolist(), found.lengths.tolist()
      ([[1, -1, -1, -1, -1]], [1])

    References:
      Sutskever, Vinyals and Le, Sequence to Sequence Learning with Neural Networks, 2014.
    """
    num_steps, size = as_size("max_length", max_length), _batch_size(state)
    run = jax.vmap(step)

    def advance(carried: Any) -> Any:
        place, state, last, is_over, found = carried
        state, logits = run(context, state, last)
        best, log_probs = logits.argmax(axis=-1).astype(jnp.int32), _log_probs(logits)
        gained = jnp.take_along_axis(log_probs, best[:, None], axis=1)[:, 0]
        goes_on = ~is_over & (best != end)
        found = Hypotheses(
            found.tokens.at[:, place].set(jnp.where(goes_on, best, -1)),
            found.lengths + goes_on.astype(jnp.int32),
            found.scores + jnp.where(is_over, 0, gained),
        )
        return vary((place + 1, state, best, is_over | (best == end), found))

    found = Hypotheses(
        jnp.full([size, num_steps], -1, jnp.int32),
        jnp.zeros([size], jnp.int32),
        jnp.zeros([size], _score_dtype(step, context, state, begin)),
    )
    last, is_over = jnp.full([size], begin, jnp.int32), jnp.zeros([size], bool)
    first = vary((jnp.array(0), state, last, is_over, found))
    return jax.lax.while_loop(lambda c: (c[0] < num_steps) & ~c[3].all(), advance, first)[-1]


@over_rows("state")
def beam_search(
    step: DecoderStep,
    context: Any,
    state: Any,
    *,
    begin: int,
    end: int,
    max_length: int,
    width: int,
    length_penalty: float = 0.0,
) -> Hypotheses:
    """Searches the likeliest sequences of every row.

    At every step the `width` likeliest beginnings go on; those that end are ranked by

        score = log p(tokens, end) / ((5 + n) / 6)^length_penalty     n tokens, the end included

    The search is over once nothing that goes on can be among the `width` best. With a width of all
    beginnings there are it is exact.

    Args:
      step: reads a token: `(context, state, token) -> (state, logits)`, for one hypothesis of one
        row: a token `[]`, logits `[V]`, which are normalised here; minus infinity forbids a token.
      context: what a row gives to all of its hypotheses and no step changes, such as the states of
        an encoder; leaves `[B, ...]`, or None.
      state: what a step changes, before the first token: any pytree, leaves `[B, ...]`.
      begin: the first token that is read.
      end: the token that ends a sequence.
      max_length: tokens N of the longest sequence, its end included. Where no hypothesis of a row
        ends so soon, those that are cut off are given.
      width: hypotheses W that are kept.
      length_penalty: strength of the length penalty, at least 0; 0 is none.

    Returns:
      `Hypotheses`, the best first.

    Raises:
      ValueError: if a size is below 1, the penalty is negative, or the state has no array.

    Example:
      >>> from birnn_jax.heads import beam_search
      >>> follows = jnp.log(jnp.array([[0.1, 0.5, 0.4], [0.6, 0.2, 0.2], [0.3, 0.3, 0.4]]))
      >>> step = lambda context, state, token: (state, follows[token])
      >>> found = beam_search(step, None, jnp.zeros([1]), begin=0, end=2, max_length=9, width=2)
      >>> found.tokens[0, :, :2].tolist()
      [[-1, -1], [1, 0]]
      >>> [round(float(score), 2) for score in jnp.exp(found.scores[0])]
      [0.4, 0.12]

    References:
      Wu et al., Google's Neural Machine Translation System, 2016, section 7 (the penalty); Graves,
      Sequence Transduction with Recurrent Neural Networks, 2012.
    """
    num_steps, width = as_size("max_length", max_length), as_size("width", width)
    check_number("length_penalty", length_penalty)
    if length_penalty < 0:
        raise ValueError(f"length_penalty must be at least 0, got {length_penalty}.")
    size, dtype = _batch_size(state), _score_dtype(step, context, state, begin)
    run = jax.vmap(jax.vmap(step, in_axes=(None, 0, 0)))
    none = jnp.full([size, width], -jnp.inf, dtype)
    tokens = jnp.full([size, width, num_steps], -1, jnp.int32)
    beam = _Beam(
        tokens=tokens,
        log_probs=none.at[:, 0].set(0.0),
        last=jnp.full([size, width], begin, jnp.int32),
        states=jax.tree.map(lambda leaf: jnp.repeat(leaf[:, None], width, axis=1), state),
        ended=Hypotheses(tokens, jnp.zeros([size, width], jnp.int32), none),
    )

    def penalise(log_probs: jax.Array, length: jax.Array | int) -> jax.Array:
        return log_probs / ((5.0 + length) / 6.0) ** length_penalty

    def advance(carried: tuple[jax.Array, _Beam]) -> tuple[jax.Array, _Beam]:
        place, beam = carried
        states, logits = run(context, beam.states, beam.last)
        log_probs = beam.log_probs[..., None] + _log_probs(logits)
        scores = penalise(log_probs[..., end], place + 1)
        grow = jax.vmap(_grow, in_axes=(0, 0, 0, 0, None, None))
        return vary((place + 1, grow(beam, states, log_probs, scores, place, end)))

    def goes_on(carried: tuple[jax.Array, _Beam]) -> jax.Array:
        place, beam = carried
        # Log-probabilities only fall, and the longest sequence is penalised least.
        within_reach = penalise(beam.log_probs[:, 0], num_steps) > beam.ended.scores[:, -1]
        return (place < num_steps) & within_reach.any()

    _, beam = jax.lax.while_loop(goes_on, advance, vary((jnp.array(0), beam)))
    lengths = jnp.where(jnp.isneginf(beam.log_probs), 0, num_steps).astype(jnp.int32)
    cut_off = Hypotheses(beam.tokens, lengths, penalise(beam.log_probs, num_steps))
    nothing = jnp.isneginf(beam.ended.scores[:, 0])
    return jax.tree.map(
        lambda cut, ended: jnp.where(nothing.reshape((-1,) + (1,) * (cut.ndim - 1)), cut, ended),
        *(cut_off, beam.ended),
    )


class _Beam(NamedTuple):
    tokens: jax.Array  # [B, W, N], of beginnings that go on
    log_probs: jax.Array  # [B, W], descending
    last: jax.Array  # [B, W]
    states: Any  # leaves [B, W, ...]
    ended: Hypotheses


def _grow(
    beam: _Beam, states: Any, log_probs: jax.Array, scores: jax.Array, place: jax.Array, end: int
) -> _Beam:
    """The beam of one row, of which every beginning has read a token.

    Args:
      beam: before.
      states: after the token, leaves `[W, ...]`.
      log_probs: `[W, V]`, of every beginning and one token more.
      scores: `[W]`, of the beginnings if they end here.
      place: tokens that the beginnings have.
      end: the token that ends.
    """
    width, size = log_probs.shape
    here = Hypotheses(beam.tokens, jnp.full_like(beam.ended.lengths, place), scores)
    both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), beam.ended, here)
    order = jnp.argsort(-both.scores, stable=True)[:width]
    ended = jax.tree.map(lambda leaf: leaf[order], both)
    dead = jnp.isneginf(ended.scores)
    ended = Hypotheses(
        jnp.where(dead[:, None], -1, ended.tokens),
        jnp.where(dead, 0, ended.lengths),
        ended.scores,
    )
    best, chosen = jax.lax.top_k(log_probs.at[:, end].set(-jnp.inf).reshape(-1), width)
    parents, tokens = chosen // size, (chosen % size).astype(jnp.int32)
    tokens = jnp.where(jnp.isneginf(best), -1, tokens)
    return _Beam(
        tokens=beam.tokens[parents].at[:, place].set(tokens),
        log_probs=best,
        last=tokens,
        states=jax.tree.map(lambda leaf: leaf[parents], states),
        ended=ended,
    )


def _log_probs(logits: jax.Array) -> jax.Array:
    """`[..., V]`, in float32 at least, and at most 0 in spite of rounding."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.minimum(jax.nn.log_softmax(logits), 0)


def _score_dtype(step: DecoderStep, context: Any, state: Any, begin: int) -> jnp.dtype:
    first = jax.tree.map(lambda leaf: leaf[0], (context, state))
    _, logits = jax.eval_shape(step, *first, jnp.array(begin, jnp.int32))
    if logits.ndim != 1:
        raise ValueError(
            f"step must return (state, logits [V]) for one hypothesis of one row, got logits of "
            f"shape {logits.shape}."
        )
    return jnp.promote_types(logits.dtype, jnp.float32)


def _batch_size(state: Any) -> int:
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(state)]
    if not shapes or any(shape[:1] != shapes[0][:1] or shape == () for shape in shapes):
        raise ValueError(
            f"state must have arrays [B, ...], all with the same B, got shapes {shapes}."
        )
    return shapes[0][0]
