"""A label for each sequence, of features or of tokens as in `tagger`."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax

from .._core.affine import init_affine
from .._core.checks import as_size, check_choice, check_key, check_made_by
from .._core.dtypes import product, widen
from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import Bi
from .._stacks.layer import LayerParams, Layers
from .._stacks.stack import init_stack, stack, stack_lengths, stack_shapes
from .embedding import init_inputs, read_inputs
from .readouts import (
    AttentionPoolParams,
    attention_pool,
    final_states,
    init_attention_pool,
    max_pool,
    mean_pool,
)

Readout = Literal["final", "mean", "max", "attention"]


class ClassifierParams(NamedTuple):
    """Parameters of `classifier`."""

    rnn: tuple[LayerParams, ...]
    attention: AttentionPoolParams | None  # with readout="attention" only
    w: jax.Array  # [S, K] for a readout of size S
    b: jax.Array  # [K]
    embedding: jax.Array | None = None  # [V, D], in a model that reads tokens


def init_classifier(
    layers: Layers,
    key: jax.Array,
    input_size: int,
    hidden_size: int | Bi[int] | Sequence[int | Bi[int]],
    *,
    num_classes: int,
    num_tokens: int | None = None,
    readout: Readout = "final",
) -> ClassifierParams:
    """Makes the parameters of `classifier`.

    Args:
      layers: of the stack, from the bottom to the top.
      key: consumed.
      input_size: features D of each step, or of the vector of each token.
      hidden_size: as in `init_stack`.
      num_classes: classes K.
      num_tokens: tokens V of a vocabulary, as in `init_tagger`; None is a model of features.
      readout: as in `classifier`; attention gets as many hidden units as its input has features.

    Raises:
      ValueError: for an unknown readout, and as `init_stack`.
      TypeError: as `init_stack`.

    Example:
      >>> params = init_classifier(
      ...     (Layer(LSTM),), jax.random.key(0), input_size=3, hidden_size=4, num_classes=5
      ... )
      >>> params.w.shape
      (8, 5)
    """
    check_choice("readout", readout, _READOUTS)
    check_key(key)
    num_classes = as_size("num_classes", num_classes)
    key_rnn, key_attention, key_w, key_embedding = jax.random.split(key, 4)
    rnn = init_stack(layers, key_rnn, input_size=input_size, hidden_size=hidden_size)
    carries, ys = stack_shapes(layers, rnn, input_size)
    attention = None
    if readout == "attention":
        size = ys.shape[-1]
        attention = init_attention_pool(key_attention, input_size=size, attention_size=size)
    pooled = jax.eval_shape(
        lambda attention, carry, ys: _READOUTS[readout](attention, carry, ys, None),
        *(attention, carries[-1], ys),
    )
    w, b = init_affine(key_w, pooled.shape[-1], num_classes)
    embedding = init_inputs(key_embedding, num_tokens, input_size)
    return ClassifierParams(rnn=rnn, attention=attention, w=w, b=b, embedding=embedding)


@over_rows("xs")
def classifier(
    layers: Layers,
    params: ClassifierParams,
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    readout: Readout = "final",
    dropout: float | jax.Array = 0.0,
    locked_dropout: float | jax.Array = 0.0,
    key: jax.Array | None = None,
) -> jax.Array:
    """Scores every class for every row: a stack, a readout under the mask, one projection.

    Args:
      layers: as given to `init_classifier`; under `jax.jit` as in `stack`.
      params: from `init_classifier`.
      xs: features `[B, T, D]`; tokens `[B, T]`, integers, if the params have an embedding. What
        stands in padding is never used.
      lengths: `[B]` integers; None means that all T steps are valid.
      readout: "final" for `final_states` of the top layer, "mean", "max", or "attention".
      dropout: rate between layers, while there is a `key`. An embedding counts as a layer.
      locked_dropout: the same with one mask for all steps of a row.
      key: consumed; as in `stack`.

    Returns:
      logits `[B, K]`, in float32 at least.

    Raises:
      ValueError: for an unknown readout, or attention without its parameters; and as `stack`.

    Example:
      >>> layers = (Layer(GRU),)
      >>> params = init_classifier(
      ...     layers, jax.random.key(0), input_size=3, hidden_size=4, num_classes=5
      ... )
      >>> classifier(layers, params, jax.random.normal(jax.random.key(1), [2, 6, 3])).shape
      (2, 5)
    """
    check_choice("readout", readout, _READOUTS)
    check_made_by("init_classifier", ClassifierParams, params)
    if (readout == "attention") != (params.attention is not None):
        raise ValueError(
            f"readout={readout!r} does not fit the params: give init_classifier the same readout."
        )
    xs = read_inputs(params.embedding, xs, lengths, rates=(dropout, locked_dropout), key=key)
    carries, ys = stack(
        *(layers, params.rnn, xs, lengths), dropout=dropout, locked_dropout=locked_dropout, key=key
    )
    lengths = stack_lengths(layers, lengths)
    pooled = _READOUTS[readout](params.attention, carries[-1], ys, lengths)
    return product(pooled, params.w) + widen(params.b)[None]


_READOUTS = {
    "final": lambda attention, carry, ys, lengths: final_states(carry),
    "mean": lambda attention, carry, ys, lengths: mean_pool(ys, lengths),
    "max": lambda attention, carry, ys, lengths: max_pool(ys, lengths),
    "attention": lambda attention, carry, ys, lengths: attention_pool(attention, ys, lengths)[0],
}
