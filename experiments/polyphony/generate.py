"""Music made frame by frame, each drawn from what the model expects after those before it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import TaggerParams
from experiments.polyphony.chords import draw_chord
from experiments.polyphony.config import MusicModel, score


@functools.partial(jax.jit, static_argnames=("model", "frames", "voices"))
def go_on(
    model: MusicModel,
    params: TaggerParams,
    beginning: jax.Array,
    key: jax.Array,
    *,
    frames: int,
    voices: int,
    temperature: float,
) -> jax.Array:
    """The frames after a beginning.

    Args:
      model: static.
      params: of the model.
      beginning: `[T, 88]`, one chord or more.
      key: consumed; frame n is drawn with `fold_in(key, n)`.
      frames: how many to make.
      voices: keys of a chord, at most.
      temperature: divides the logits; below 1 safer, above 1 bolder.

    Returns:
      `[frames, 88]` of 0 and 1.
    """
    carry, logits = score(model, params, beginning[None])

    def step(state: tuple[Any, jax.Array], number: jax.Array) -> tuple[Any, jax.Array]:
        carry, logits = state
        chord = draw_chord(logits / temperature, voices, jax.random.fold_in(key, number))
        carry, logits = score(model, params, chord[None, None], carry=carry)
        return (carry, logits[0, -1]), chord

    _, chords = jax.lax.scan(step, (carry, logits[0, -1]), jnp.arange(frames))
    return chords


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
    """A whole piece, `[T + frames, 88]`: the beginning, and how the model goes on.

    Raises:
      ValueError: for a number that makes no piece.
    """
    for name, number in (("frames", frames), ("voices", voices), ("temperature", temperature)):
        if not number > 0:
            raise ValueError(f"{name} must be positive, got {number}.")
    options = {"frames": frames, "voices": voices, "temperature": temperature}
    made = go_on(model, params, jnp.asarray(beginning), jax.random.key(seed), **options)
    return np.concatenate([beginning, np.asarray(made)])
