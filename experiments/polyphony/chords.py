"""Drawing a chord: the keys of one frame, given how likely each is."""

import functools

import jax
import jax.numpy as jnp


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
