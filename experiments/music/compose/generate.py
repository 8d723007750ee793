"""Music made frame by frame, each drawn from what the model expects after those before it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax.models import TaggerParams
from experiments.music.compose.config import MusicModel
from experiments.music.compose.model import score
from experiments.runner.run.programs import quick_jit


@functools.partial(jax.jit, static_argnames="most")
def draw_chord(logits: jax.Array, most: int, key: jax.Array) -> jax.Array:
    """Draws keys that are independent but for their number, which is 1 to `most`.

    The probability of a set S of keys is proportional to the product of exp(logit) over S. Sums
    over all sets of n of the keys from k on,

        sums[k][n] = sums[k + 1][n] + exp(logit[k]) sums[k + 1][n - 1],

    give the probability of each number of keys, and then, key by key, that of being in the set.

    Args:
      logits: `[K]`, those of the independent probability of each key.
      most: keys of a chord, at most.
      key: consumed.

    Returns:
      `[K]` float32 of 0 and 1.

    References:
      Chen and Liu, Statistical applications of the Poisson-binomial and conditional Bernoulli
      distributions, 1997.
    """
    nothing = jnp.where(jnp.arange(most + 1) == 0, 0.0, -jnp.inf)

    def add(after: jax.Array, logit: jax.Array) -> tuple[jax.Array, jax.Array]:
        with_key = logit + jnp.concatenate([jnp.full([1], -jnp.inf), after[:-1]])
        return jnp.logaddexp(after, with_key), after

    total, after = jax.lax.scan(add, nothing, logits, reverse=True)
    key_number, key_set = jax.random.split(key)
    number = 1 + jax.random.categorical(key_number, total[1:])

    def choose(left: jax.Array, inputs: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        logit, after, uniform = inputs
        with_key = logit + after[left - 1]
        share = jax.nn.sigmoid(with_key - after[left])
        taken = (left > 0) & (uniform < share)
        return left - taken, taken

    uniforms = jax.random.uniform(key_set, logits.shape)
    _, taken = jax.lax.scan(choose, number, (logits, after, uniforms))
    return taken.astype(jnp.float32)


@quick_jit(static_argnames=("model", "frames", "voices"))
def go_on(
    model: MusicModel,
    params: TaggerParams,
    beginnings: jax.Array,
    key: jax.Array,
    *,
    frames: int,
    voices: int,
    temperature: float,
) -> jax.Array:
    """The frames after each of several beginnings.

    Args:
      model: static.
      params: of the model.
      beginnings: `[B, T, 88]`, one chord or more each.
      key: consumed; frame n of every piece is drawn with `fold_in(key, n)`.
      frames: how many to make.
      voices: keys of a chord, at most.
      temperature: divides the logits; below 1 safer, above 1 bolder.

    Returns:
      `[B, frames, 88]` of 0 and 1; a piece is the same alone and beside others.
    """
    carry, logits = score(model, params, beginnings)
    draw_chords = jax.vmap(draw_chord, in_axes=(0, None, None))

    def step(state: tuple[Any, jax.Array], number: jax.Array) -> tuple[Any, jax.Array]:
        carry, logits = state
        chords = draw_chords(logits / temperature, voices, jax.random.fold_in(key, number))
        carry, logits = score(model, params, chords[:, None], carry=carry)
        return (carry, logits[:, -1]), chords

    _, chords = jax.lax.scan(step, (carry, logits[:, -1]), jnp.arange(frames))
    return jnp.swapaxes(chords, 0, 1)


def compose(
    model: MusicModel,
    params: TaggerParams,
    beginning: np.ndarray,
    *,
    frames: int,
    voices: int,
    temperature: float,
    seed: int,
) -> np.ndarray:
    """A whole piece, or several: the beginning, and how the model goes on.

    Args:
      model: static.
      params: of the model.
      beginning: `[T, 88]`, or `[B, T, 88]` of several pieces, which are made together.
      frames: how many to make.
      voices: keys of a chord, at most.
      temperature: divides the logits; below 1 safer, above 1 bolder.
      seed: of the random draws; each piece is the one that its beginning gets alone.

    Returns:
      `[T + frames, 88]`, or `[B, T + frames, 88]`.

    Raises:
      ValueError: for a number that makes no piece.
    """
    for name, number in (("frames", frames), ("voices", voices), ("temperature", temperature)):
        if not number > 0:
            raise ValueError(f"{name} must be positive, got {number}.")
    options = {"frames": frames, "voices": voices, "temperature": temperature}
    beginnings = beginning.reshape(-1, *beginning.shape[-2:])
    made = go_on(model, params, jnp.asarray(beginnings), jax.random.key(seed), **options)
    pieces = np.concatenate([beginnings, np.asarray(made)], axis=1)
    return pieces.reshape(*beginning.shape[:-2], *pieces.shape[1:])
