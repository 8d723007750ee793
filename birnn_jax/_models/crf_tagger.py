"""A label for each step, chosen together: a tagger with a conditional random field."""

from collections.abc import Sequence
from typing import NamedTuple

import jax

from .._core.checks import check_made_by
from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import Bi
from .._losses import Total
from .._stacks.layer import Layers
from ..heads._crf import CRFParams, crf_loss, init_crf
from ..heads._crf_decode import crf_decode
from ..heads._tags import TagConstraints, constrain_crf
from .tagger import TaggerParams, init_tagger, tagger


class CRFTaggerParams(NamedTuple):
    """Parameters of `crf_tagger`."""

    tagger: TaggerParams
    crf: CRFParams


def init_crf_tagger(
    layers: Layers,
    key: jax.Array,
    input_size: int,
    hidden_size: int | Bi[int] | Sequence[int | Bi[int]],
    *,
    num_classes: int,
    num_tokens: int | None = None,
) -> CRFTaggerParams:
    """Makes the parameters of `crf_tagger`: those of a tagger, and a chain that prefers nothing.

    Args:
      layers: of the stack, from the bottom to the top.
      key: consumed.
      input_size: features D of each step, or of the vector of each token.
      hidden_size: as in `init_stack`.
      num_classes: labels K.
      num_tokens: tokens V of a vocabulary, as in `init_tagger`; None is a model of features.

    Raises:
      ValueError, TypeError: as `init_stack`.

    Example:
      >>> from birnn_jax.models import init_crf_tagger
      >>> params = init_crf_tagger(
      ...     LSTM, jax.random.key(0), input_size=3, hidden_size=4, num_classes=5, num_tokens=100
      ... )
      >>> params.tagger.embedding.shape, params.crf.transitions.shape
      ((100, 3), (5, 5))
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_classes": num_classes}
    params = init_tagger(layers, key, **sizes, num_tokens=num_tokens)
    return CRFTaggerParams(params, init_crf(num_classes=num_classes))


@over_rows("xs")
def crf_tagger(
    layers: Layers,
    params: CRFTaggerParams,
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    dropout: float | jax.Array = 0.0,
    locked_dropout: float | jax.Array = 0.0,
    key: jax.Array | None = None,
) -> jax.Array:
    """Scores every label at every step by itself; `crf_tagger_loss` and `_decode` add the chain.

    Args:
      layers: as given to `init_crf_tagger`; under `jax.jit` as in `stack`.
      params: from `init_crf_tagger`.
      xs: features `[B, T, D]`; tokens `[B, T]`, integers, if the params have an embedding. What
        stands in padding is never used.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.
      dropout: rate between layers, while there is a `key`. An embedding counts as a layer.
      locked_dropout: the same with one mask for all steps of a row.
      key: consumed; as in `stack`.

    Returns:
      logits `[B, T, K]`, in float32 at least.

    Raises:
      ValueError, TypeError: as `tagger`.

    Example:
      >>> from birnn_jax.models import (
      ...     crf_tagger, crf_tagger_decode, crf_tagger_loss, init_crf_tagger
      ... )
      >>> params = init_crf_tagger(
      ...     LSTM, jax.random.key(0), input_size=3, hidden_size=4, num_classes=5, num_tokens=100
      ... )
      >>> words, lengths = jnp.array([[17, 4, 99], [8, 2, 0]]), jnp.array([3, 2])
      >>> logits = crf_tagger(LSTM, params, words, lengths)
      >>> loss = crf_tagger_loss(params, logits, jnp.array([[0, 3, 1], [4, 4, 0]]), lengths)
      >>> crf_tagger_decode(params, logits, lengths).shape
      (2, 3)

    References:
      Huang, Xu and Yu, Bidirectional LSTM-CRF Models for Sequence Tagging, 2015; Lample et al.,
      Neural Architectures for Named Entity Recognition, 2016.
    """
    check_made_by("init_crf_tagger", CRFTaggerParams, params)
    rates = {"dropout": dropout, "locked_dropout": locked_dropout}
    return tagger(layers, params.tagger, xs, lengths, **rates, key=key)


@over_rows("logits")
def crf_tagger_loss(
    params: CRFTaggerParams,
    logits: jax.Array,
    labels: jax.Array,
    lengths: Lengths = None,
    *,
    allowed: TagConstraints | None = None,
) -> Total:
    """The negative log-likelihood of whole rows of labels: `birnn_jax.heads.crf_loss`.

    Args:
      params: from `init_crf_tagger`.
      logits: `[B, T, K]`, from `crf_tagger`.
      labels: `[B, T]` integers, as in `crf_loss`.
      lengths: as given to `crf_tagger`.
      allowed: which labels may follow each other, from `birnn_jax.heads.tag_constraints`; None
        allows all.

    Returns:
      `Total` of nats over valid steps.

    Raises:
      ValueError, TypeError: as `crf_loss` and `constrain_crf`.

    Example:
      >>> from birnn_jax.heads import tag_constraints
      >>> from birnn_jax.models import crf_tagger_loss, init_crf_tagger
      >>> params = init_crf_tagger(GRU, jax.random.key(0), 2, 4, num_classes=3)
      >>> allowed = tag_constraints(["O", "B", "I"], scheme="BIO")
      >>> logits, labels = jnp.zeros([1, 2, 3]), jnp.array([[1, 2]])
      >>> total = crf_tagger_loss(params, logits, labels, allowed=allowed)
      >>> round(float(jnp.exp(total.sum)), 3)  # rows that are allowed: OO, OB, BO, BB, BI
      5.0
    """
    return crf_loss(_chain(params, allowed), logits, labels, lengths)


@over_rows("logits")
def crf_tagger_decode(
    params: CRFTaggerParams,
    logits: jax.Array,
    lengths: Lengths = None,
    *,
    allowed: TagConstraints | None = None,
) -> jax.Array:
    """The row of labels with the highest score, by the Viterbi algorithm.

    Args:
      params: from `init_crf_tagger`.
      logits: `[B, T, K]`, from `crf_tagger`.
      lengths: as given to `crf_tagger`.
      allowed: as in `crf_tagger_loss`.

    Returns:
      labels `[B, T]` int32, -1 in padding.

    Raises:
      ValueError, TypeError: as `crf_decode` and `constrain_crf`.

    Example:
      >>> from birnn_jax.models import crf_tagger_decode, init_crf_tagger
      >>> params = init_crf_tagger(GRU, jax.random.key(0), 2, 4, num_classes=2)
      >>> logits = jnp.array([[[0.0, 1.0], [2.0, 0.0], [9.0, 9.0]]])
      >>> crf_tagger_decode(params, logits, jnp.array([2])).tolist()
      [[1, 0, -1]]
    """
    labels, _ = crf_decode(_chain(params, allowed), logits, lengths)
    return labels


def _chain(params: CRFTaggerParams, allowed: TagConstraints | None) -> CRFParams:
    check_made_by("init_crf_tagger", CRFTaggerParams, params)
    return params.crf if allowed is None else constrain_crf(params.crf, allowed)
