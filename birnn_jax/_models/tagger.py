"""A label for each step of a sequence.

A model reads features `[B, T, D]`, such as audio frames or a series; or, with an embedding among
its parameters, tokens `[B, T]`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax

from .._core.affine import init_affine
from .._core.checks import as_size, check_key, check_made_by
from .._core.dtypes import product, widen
from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import Bi
from .._stacks.layer import LayerParams, Layers
from .._stacks.stack import init_stack, stack, stack_shapes
from .embedding import init_inputs, read_inputs


class TaggerParams(NamedTuple):
    """Parameters of `tagger`."""

    rnn: tuple[LayerParams, ...]
    w: jax.Array  # [S, K] for outputs of size S
    b: jax.Array  # [K]
    embedding: jax.Array | None = None  # [V, D], in a model that reads tokens


def init_tagger(
    layers: Layers,
    key: jax.Array,
    input_size: int,
    hidden_size: int | Bi[int] | Sequence[int | Bi[int]],
    *,
    num_classes: int,
    num_tokens: int | None = None,
) -> TaggerParams:
    """Makes the parameters of `tagger`.

    Args:
      layers: of the stack, from the bottom to the top.
      key: consumed.
      input_size: features D of each step, or of the vector of each token.
      hidden_size: as in `init_stack`.
      num_classes: labels K.
      num_tokens: tokens V of a vocabulary; the model then reads tokens, and has a table of vectors
        of `input_size`. None is a model that reads features.

    Raises:
      ValueError, TypeError: as `init_stack`.

    Example:
      >>> params = init_tagger(
      ...     (Layer(LSTM),), jax.random.key(0), input_size=3, hidden_size=4, num_classes=5
      ... )
      >>> params.w.shape
      (8, 5)
    """
    check_key(key)
    num_classes = as_size("num_classes", num_classes)
    key_rnn, key_w, key_embedding = jax.random.split(key, 3)
    rnn = init_stack(layers, key_rnn, input_size=input_size, hidden_size=hidden_size)
    _, ys = stack_shapes(layers, rnn, input_size)
    w, b = init_affine(key_w, ys.shape[-1], num_classes)
    embedding = init_inputs(key_embedding, num_tokens, input_size)
    return TaggerParams(rnn=rnn, w=w, b=b, embedding=embedding)


@over_rows("xs")
def tagger(
    layers: Layers,
    params: TaggerParams,
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    dropout: float | jax.Array = 0.0,
    locked_dropout: float | jax.Array = 0.0,
    key: jax.Array | None = None,
) -> jax.Array:
    """Scores every label at every step: a stack, then one projection shared by all steps.

    Args:
      layers: as given to `init_tagger`; under `jax.jit` as in `stack`.
      params: from `init_tagger`.
      xs: features `[B, T, D]`; tokens `[B, T]`, integers, if the params have an embedding. What
        stands in padding is never used.
      lengths: `[B]` integers; None means that all T steps are valid.
      dropout: rate between layers, while there is a `key`. An embedding counts as a layer.
      locked_dropout: the same with one mask for all steps of a row.
      key: consumed; as in `stack`.

    Returns:
      logits `[B, T, K]`, in float32 at least. In padding they are the bias: mask them in the loss.
      With layers that subsample they are of fewer steps, those of `stack_lengths`.

    Raises:
      ValueError, TypeError: as `stack`; also for features where tokens are expected.

    Example:
      >>> layers = (Layer(GRU),)
      >>> params = init_tagger(
      ...     layers, jax.random.key(0), input_size=3, hidden_size=4, num_classes=5
      ... )
      >>> tagger(layers, params, jax.random.normal(jax.random.key(1), [2, 6, 3])).shape
      (2, 6, 5)

      The same of words, of a vocabulary of 100:

      >>> params = init_tagger(
      ...     layers, jax.random.key(0), input_size=3, hidden_size=4, num_classes=5, num_tokens=100
      ... )
      >>> tagger(layers, params, jnp.array([[7, 99, 0]]), jnp.array([2])).shape
      (1, 3, 5)
    """
    check_made_by("init_tagger", TaggerParams, params)
    xs = read_inputs(params.embedding, xs, lengths, rates=(dropout, locked_dropout), key=key)
    _, ys = stack(
        *(layers, params.rnn, xs, lengths), dropout=dropout, locked_dropout=locked_dropout, key=key
    )
    return product(ys, params.w) + widen(params.b)[None, None]
