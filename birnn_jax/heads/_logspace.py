"""Sums and shares of exponentials among which any number may be of probability zero.

A score of minus infinity is how something is forbidden. It has a share of exactly zero, gets no
gradient, and where all scores are minus infinity, so is their sum, again without a gradient:
`jax.nn.logsumexp` gives NaN there. NaN and plus infinity are not caught: they come out as NaN.
"""

import jax
import jax.numpy as jnp


def log_sum_exp(scores: jax.Array, axis: int) -> jax.Array:
    """log sum exp(scores), over an axis that has at least one entry."""
    highest = _or_zero(jax.lax.stop_gradient(scores.max(axis=axis, keepdims=True)))
    total = jnp.exp(scores - highest).sum(axis=axis)
    nothing = total == 0
    logs = jnp.log(jnp.where(nothing, jnp.ones_like(total), total)) + highest.squeeze(axis)
    return jnp.where(nothing, -jnp.inf, logs)


def log_add(a: jax.Array, b: jax.Array) -> jax.Array:
    """log(exp(a) + exp(b))."""
    return log_sum_exp(jnp.stack([a, b]), axis=0)


def log_softmax(scores: jax.Array) -> jax.Array:
    """Over the last axis; minus infinity throughout where every score is."""
    return scores - _or_zero(log_sum_exp(scores, axis=-1))[..., None]


def softmax(scores: jax.Array) -> jax.Array:
    """Over the last axis; zero throughout where every score is minus infinity."""
    return jnp.exp(log_softmax(scores))


def levelled(scores: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Scores lowered so that the highest of the last axis is 0, and by how much, `[..., 1]`.

    What is carried over many steps is levelled at each of them: otherwise it grows with the steps,
    and with it the rounding of every sum. The gradient is that of the scores, as if what they are
    lowered by were a constant.
    """
    highest = _or_zero(jax.lax.stop_gradient(scores.max(axis=-1, keepdims=True)))
    return scores - highest, highest


@jax.custom_jvp
def surprisal(scores: jax.Array, label: jax.Array) -> jax.Array:
    """-log softmax(scores)[label] over the last axis, at least 0, exact also where it is tiny.

    Logarithm and difference of `log_softmax` leave a rounding of the size of that of the scores;
    here it is of the size of the result. Infinite where the label is of probability zero.
    """
    own = jnp.where(_at(label, scores), scores, 0).sum(axis=-1, keepdims=True)
    impossible = jnp.isneginf(own)
    above = jnp.where(impossible, 0, scores - jnp.where(impossible, 0, own))
    largest = above.max(axis=-1)
    is_largest = _at(above.argmax(axis=-1), above)
    others = jnp.where(is_largest, 0, jnp.exp(above - largest[..., None])).sum(axis=-1)
    return jnp.where(impossible[..., 0], jnp.inf, largest + jnp.log1p(others))


@surprisal.defjvp
def _surprisal_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    (scores, label), (change, _) = primals, tangents
    # softmax . change - change[label], without the share of the label on both sides; the share is
    # none where nothing is possible.
    shares = softmax(scores)
    is_own = _at(label, scores)
    others = jnp.where(is_own, 0, shares)
    rest = jnp.where((shares == 0).all(axis=-1), 1, others.sum(axis=-1))
    slope = jnp.where(is_own, -rest[..., None], others)
    return surprisal(scores, label), (slope * change).sum(axis=-1)


def _at(label: jax.Array, scores: jax.Array) -> jax.Array:
    """`[..., K]`, True at the label. On CPUs it compiles in half the time of a gather."""
    return label[..., None] == jax.lax.broadcasted_iota(label.dtype, scores.shape, scores.ndim - 1)


def _or_zero(scores: jax.Array) -> jax.Array:
    return jnp.where(jnp.isneginf(scores), 0, scores)
