"""Five tasks that need a memory, and what can be reached without one.

| task | input | answer | asked at | without a memory |
| --- | --- | --- | --- | --- |
| adding | numbers in [0, 1], two of them marked | the sum of the two | the last step | 1/6 |
| copy | 10 symbols of 8, then nothing | the symbols | every step | 10 ln 8 / (T + 20) |
| order | two of X, Y among distractors | which two, in order | the last step | 1/4 right |
| parity | bits | x[1] xor ... xor x[t] | every step | (T + 1) / 2T right |
| xor | bits | x[t-k] xor x[t+k] | where both exist | 1/2 right |

Batches are made inside the compiled step, each a function of its key alone.

References:
  Hochreiter and Schmidhuber, Long Short-Term Memory, 1997 (adding, temporal order); Arjovsky et
  al., Unitary Evolution Recurrent Neural Networks, 2016 (copy memory in this form).
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

COPIED, ALPHABET = 10, 8  # symbols to remember, and how many kinds there are
_DELIMITER = ALPHABET + 1  # 0 is the blank
_X, DISTRACTORS = 0, 4  # the symbols of "order": X, Y, then the distractors
Measure = Literal["loss", "accuracy"]


class Examples(NamedTuple):
    """A batch: inputs, and the answers where `mask` is True."""

    xs: jax.Array  # [B, T, D]
    answers: jax.Array  # [B, T], classes as int32 or numbers as float32
    mask: jax.Array  # [B, T] bool


class Task(NamedTuple):
    """A task: how its examples are made, and what is known about it."""

    make: Callable[[jax.Array, int, int], Examples]  # key, batch_size, length
    num_outputs: int  # classes, or 1 for a number
    measure: Measure  # what a run is judged by
    memoryless: Callable[[int], float]  # the best of `measure` without a memory, by length
    solved: float  # of `measure`: good enough to stop
    shortest: int  # length for which the task makes sense

    def num_steps(self, length: int) -> int:
        """Steps T of a sequence."""
        return jax.eval_shape(lambda: self.make(jax.random.key(0), 1, length)).xs.shape[1]


def adding(key: jax.Array, batch_size: int, length: int) -> Examples:
    """Numbers `xs[..., 0]`, markers `xs[..., 1]`: one in each half; the answer comes last."""
    key_numbers, key_first, key_second = jax.random.split(key, 3)
    numbers = jax.random.uniform(key_numbers, [batch_size, length])
    half = length // 2
    first = jax.random.randint(key_first, [batch_size], 0, half)
    second = jax.random.randint(key_second, [batch_size], half, length)
    markers = jax.nn.one_hot(first, length) + jax.nn.one_hot(second, length)
    total = (numbers * markers).sum(axis=1)
    xs = jnp.stack([numbers, markers], axis=-1)
    return Examples(xs, jnp.broadcast_to(total[:, None], numbers.shape), _last(numbers.shape))


def copy(key: jax.Array, batch_size: int, length: int) -> Examples:
    """Symbols, `length` steps of which the last gives the sign, and room for the answer."""
    symbols = jax.random.randint(key, [batch_size, COPIED], 1, ALPHABET + 1)
    pause = jnp.zeros([batch_size, length - 1], jnp.int32)
    sign = jnp.full([batch_size, 1], _DELIMITER)
    room = jnp.zeros([batch_size, COPIED], jnp.int32)
    xs = jnp.concatenate([symbols, pause, sign, room], axis=1)
    answers = jnp.concatenate([room, pause, 0 * sign, symbols], axis=1)
    return Examples(jax.nn.one_hot(xs, ALPHABET + 2), answers, jnp.full(xs.shape, True))


def order(key: jax.Array, batch_size: int, length: int) -> Examples:
    """X or Y in the second tenth and in the sixth tenth of the sequence, distractors elsewhere."""
    key_rest, key_symbols, key_first, key_second = jax.random.split(key, 4)
    rest = jax.random.randint(key_rest, [batch_size, length], _X + 2, _X + 2 + DISTRACTORS)
    symbols = jax.random.randint(key_symbols, [2, batch_size], _X, _X + 2)
    first = jax.random.randint(key_first, [batch_size], length // 10, length // 5)
    second = jax.random.randint(key_second, [batch_size], length // 2, length * 3 // 5)
    steps = jnp.arange(length)[None]
    xs = jnp.where(steps == first[:, None], symbols[0][:, None], rest)
    xs = jnp.where(steps == second[:, None], symbols[1][:, None], xs)
    answers = jnp.broadcast_to((2 * symbols[0] + symbols[1])[:, None], xs.shape)
    return Examples(jax.nn.one_hot(xs, _X + 2 + DISTRACTORS), answers, _last(xs.shape))


def parity(key: jax.Array, batch_size: int, length: int) -> Examples:
    """Bits, and at every step whether the ones so far are odd in number."""
    bits = jax.random.bernoulli(key, shape=(batch_size, length)).astype(jnp.int32)
    answers = jnp.cumsum(bits, axis=1) % 2
    return Examples(_signs(bits), answers, jnp.full(bits.shape, True))


def xor(key: jax.Array, batch_size: int, length: int) -> Examples:
    """Bits, and at step t whether those at t - k and t + k differ, with k = `xor_lag(length)`."""
    k = xor_lag(length)
    bits = jax.random.bernoulli(key, shape=(batch_size, length)).astype(jnp.int32)
    differ = bits[:, 2 * k :] ^ bits[:, : length - 2 * k]
    steps = jnp.arange(length)
    inside = jnp.broadcast_to((steps >= k) & (steps < length - k), bits.shape)
    return Examples(_signs(bits), jnp.pad(differ, [(0, 0), (k, k)]), inside)


def xor_lag(length: int) -> int:
    """The k of "xor", which grows with the length.

    Example:
      >>> xor_lag(24)
      3
    """
    return length // 8


TASKS = {
    "adding": Task(adding, 1, "loss", lambda length: 1 / 6, 1e-3, 2),
    "copy": Task(
        copy,
        ALPHABET + 2,
        "loss",
        lambda length: COPIED * math.log(ALPHABET) / (length + 2 * COPIED),
        1e-3,
        1,
    ),
    "order": Task(order, 4, "accuracy", lambda length: 1 / 4, 0.9999, 10),
    "parity": Task(parity, 2, "accuracy", lambda length: (length + 1) / (2 * length), 0.9999, 1),
    "xor": Task(xor, 2, "accuracy", lambda length: 1 / 2, 0.9999, 8),
}


def _signs(bits: jax.Array) -> jax.Array:
    """-1 and 1 as `[B, T, 1]`."""
    return (2.0 * bits - 1)[..., None]


def _last(shape: tuple[int, ...]) -> jax.Array:
    return jnp.broadcast_to(jnp.arange(shape[1]) == shape[1] - 1, shape)
