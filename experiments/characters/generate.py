"""Text made character by character, each drawn from what the model expects next."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.characters.config import CharModel
from experiments.characters.model import CharParams, initial_carry, score
from experiments.runner.run.options import Options
from experiments.runner.run.programs import quick_jit


class Drawing(Options):
    """How a character is drawn."""

    temperature: float = 1.0
    """Divides the logits: below 1 safer, above 1 bolder, 0 always the likeliest character."""
    top_k: int | None = None
    """Draws among that many of the likeliest characters; among all if not given."""
    top_p: float = 1.0
    """Draws among the fewest characters whose probabilities add up to this (nucleus sampling);
    after temperature and top_k."""

    def __post_init__(self) -> None:
        """Refuses impossible settings."""
        if not self.temperature >= 0:
            raise ValueError(f"temperature must be at least 0, got {self.temperature}.")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {self.top_p}.")


def keep_top_k(logits: jax.Array, k: int | jax.Array) -> jax.Array:
    """Logits `[V]` with all but the k highest at minus infinity; of equals the first is kept.

    References:
      Fan et al., Hierarchical Neural Story Generation, 2018.
    """
    return jnp.where(_ranks(logits) < k, logits, -jnp.inf)


def keep_nucleus(logits: jax.Array, p: float) -> jax.Array:
    """Logits `[V]` with all but the nucleus at minus infinity.

    The nucleus is the fewest likeliest characters whose probabilities add up to p or more.

    References:
      Holtzman et al., The Curious Case of Neural Text Degeneration, 2020.
    """
    descending = jnp.sort(jax.nn.softmax(logits), descending=True)
    likelier = jnp.cumsum(descending) - descending  # the sum over all that are likelier
    return keep_top_k(logits, (likelier < p).sum())


def draw(logits: jax.Array, drawing: Drawing, key: jax.Array) -> jax.Array:
    """Draws one of V tokens from logits `[V]`; consumes `key`."""
    if drawing.temperature == 0:
        return logits.argmax()
    logits = logits / drawing.temperature
    if drawing.top_k is not None:
        logits = keep_top_k(logits, drawing.top_k)
    if drawing.top_p < 1:
        logits = keep_nucleus(logits, drawing.top_p)
    return jax.random.categorical(key, logits)


def generate(
    model: CharModel,
    params: CharParams,
    prefix: np.ndarray,
    *,
    length: int,
    drawing: Drawing,
    key: jax.Array,
) -> Iterator[int]:
    """Reads a prefix `[N]` and yields `length` more tokens, each as soon as it is drawn.

    Token n is drawn with `fold_in(key, n)`. A model of both directions gets what there is, the
    text so far.
    """
    options = {"length": length, "drawing": drawing, "keys": key[None]}
    for _, token in generate_rows(model, params, [prefix], **options):
        yield token


def generate_rows(
    model: CharModel,
    params: CharParams,
    prefixes: Sequence[np.ndarray],
    *,
    length: int,
    drawing: Drawing,
    keys: jax.Array,
) -> Iterator[tuple[int, int]]:
    """Reads several prefixes together, and yields (row, token) as soon as a token is drawn.

    Every row gets `length` tokens, the same as alone with its key of `keys` `[B]`. All rows read
    one token a step; a row whose prefix ends earlier begins to write earlier.
    """
    ends = np.array([len(prefix) - 1 for prefix in prefixes])
    given = np.zeros((len(prefixes), ends.max() + 1), np.int32)
    for row, prefix in zip(given, prefixes, strict=True):
        row[: len(prefix)] = prefix
    hidden_size = params.w.shape[0] // (2 if model.direction == "both" else 1)
    carry, tokens = initial_carry(model, hidden_size, len(prefixes)), given[:, 0]
    for step in range(ends.max() + length):
        numbers = step - ends  # of the tokens that are drawn after this step, below 0 in a prefix
        carry, drawn = _step(model, drawing, params, carry, tokens, keys, np.maximum(numbers, 0))
        tokens = np.asarray(drawn)
        for row in np.flatnonzero((numbers >= 0) & (numbers < length)):
            yield int(row), int(tokens[row])
        if (numbers < 0).any():
            tokens = np.where(numbers < 0, given[:, min(step + 1, ends.max())], tokens)


@quick_jit(static_argnames=("model", "drawing"))
def _step(
    model: CharModel,
    drawing: Drawing,
    params: CharParams,
    carry: Any,
    tokens: jax.Array,
    keys: jax.Array,
    numbers: jax.Array,
) -> tuple[Any, jax.Array]:
    """Reads a token of each row, and draws what may follow it."""
    carry, logits = score(model, params, tokens[:, None], carry)
    keys = jax.vmap(jax.random.fold_in)(keys, numbers)
    return carry, jax.vmap(lambda row, key: draw(row, drawing, key))(logits[:, 0], keys)


def _ranks(logits: jax.Array) -> jax.Array:
    """The place of each logit among all, from the highest; of equals the first comes first."""
    return jnp.argsort(jnp.argsort(-logits, stable=True), stable=True)
