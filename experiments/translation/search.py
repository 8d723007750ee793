"""Greedy search and beam search: the likeliest sequences that a model writes step by step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.translation.config import Translator
from experiments.translation.model import State, advance, log_probs_of
from experiments.translation.subwords import BEGIN, END

StepFn = Callable[[Any, jax.Array], tuple[Any, jax.Array]]  # (states, tokens [W]) -> log p [W, V]


class Found(NamedTuple):
    """Sequences that have ended, best first."""

    tokens: jax.Array  # [W, N], `end` behind them
    lengths: jax.Array  # [W], the end not counted
    scores: jax.Array  # [W], penalised log-probabilities; minus infinity where there is none


class _Beam(NamedTuple):
    tokens: jax.Array  # [W, N], of beginnings that go on
    log_probs: jax.Array  # [W]
    last: jax.Array  # [W]
    states: Any  # leaves [W, ...]
    found: Found


def length_penalty(length: jax.Array | int, strength: float) -> jax.Array:
    """What a log-probability is divided by: ((5 + length) / 6)^strength, of Wu et al. 2016.

    Example:
      >>> float(length_penalty(7, 1.0)), float(length_penalty(7, 0.0))
      (2.0, 1.0)
    """
    return ((5.0 + length) / 6.0) ** strength


def beam_search(
    step: StepFn,
    state: Any,
    *,
    begin: int,
    end: int,
    width: int,
    num_steps: int,
    penalty: float = 0.0,
) -> Found:
    """Searches one row; `jax.vmap` it for several.

    At every step the `width` likeliest beginnings go on; those that end are ranked by their
    log-probability, the end included, over `length_penalty` of their length, the end included. A
    width of all beginnings there are makes the search exact.

    Args:
      step: reads a token for each of W hypotheses; what it gives is normalised.
      state: before the first token, leaves `[...]`; gets an axis for the hypotheses in front.
      begin: the first token that is read.
      end: the token that ends a sequence.
      width: hypotheses W.
      num_steps: tokens N of the longest sequence that is found, its end included.
      penalty: strength of the length penalty; 0 is none.

    References:
      Wu et al., Google's Neural Machine Translation System, 2016, section 7.
    """
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), state)
    none = jnp.full([width], -jnp.inf)
    rows = jnp.full([width, num_steps], end, jnp.int32)
    beam = _Beam(
        tokens=rows,
        log_probs=none.at[0].set(0.0),
        last=jnp.full([width], begin, jnp.int32),
        states=states,
        found=Found(rows, jnp.zeros([width], jnp.int32), none),
    )

    def body(place: jax.Array, beam: _Beam) -> _Beam:
        return _advance(step, beam, place, num_steps, end, penalty)

    return jax.lax.fori_loop(0, num_steps, body, beam).found


def _advance(
    step: StepFn, beam: _Beam, place: jax.Array, num_steps: int, end: int, penalty: float
) -> _Beam:
    states, log_probs = step(beam.states, beam.last)
    log_probs = beam.log_probs[:, None] + log_probs
    found = _merge(
        beam.found,
        Found(
            beam.tokens,
            jnp.full_like(beam.found.lengths, place),
            log_probs[:, end] / length_penalty(place + 1, penalty),
        ),
    )
    going = log_probs.at[:, end].set(-jnp.inf)
    width, size = going.shape
    best, places = jax.lax.top_k(going.reshape(-1), width)
    parents, tokens = places // size, (places % size).astype(jnp.int32)
    return _Beam(
        tokens=beam.tokens[parents].at[:, place].set(tokens),
        log_probs=best,
        last=tokens,
        states=jax.tree.map(lambda leaf: leaf[parents], states),
        found=found,
    )


def _merge(found: Found, more: Found) -> Found:
    """The best of both, as many as of one."""
    both = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), found, more)
    order = jnp.argsort(-both.scores, stable=True)[: len(found.scores)]
    return jax.tree.map(lambda leaf: leaf[order], both)


MORE_STEPS = 8  # a translation has at most twice the padded source's subwords and so many more


class Search(NamedTuple):
    """How a translation is found; width 1 is greedy."""

    width: int
    penalty: float


def greedy(
    model: Translator, params: Any, memory: Any, state: State, num_steps: int
) -> tuple[jax.Array, jax.Array]:
    """At every step the likeliest subword: `[B, N]`, the end behind it, and their number `[B]`."""

    def body(carried: Any, _: Any) -> tuple[Any, jax.Array]:
        state, last, is_over = carried
        state, _ = advance(model, params, memory, state, params.target[last])
        best = jnp.where(is_over, END, log_probs_of(params, state.fed, last).argmax(axis=-1))
        return (state, best, is_over | (best == END)), best

    size = memory.lengths.shape[0]
    first = state, jnp.full([size], BEGIN), jnp.zeros([size], bool)
    _, tokens = jax.lax.scan(body, first, length=num_steps)
    return tokens.T, (tokens != END).sum(axis=0)
