"""A row of labels without their times: a tagger under connectionist temporal classification.

The model scores labels 0 to K - 1 and the blank. The blank is class 0 of the logits, and appears
neither in the labels that are learned nor in those that are found.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from .._core.checks import as_array, as_size
from .._core.masks import Lengths
from .._core.meshes import over_rows
from .._core.types import Bi
from .._losses import Total
from .._stacks.layer import Layers
from .._stacks.stack import stack_lengths
from ..heads._ctc import ctc_loss
from ..heads._ctc_decode import ctc_beam_decode, ctc_greedy_decode
from .tagger import TaggerParams, init_tagger, tagger


def init_ctc_recogniser(
    layers: Layers,
    key: jax.Array,
    input_size: int,
    hidden_size: int | Bi[int] | Sequence[int | Bi[int]],
    *,
    num_classes: int,
    num_tokens: int | None = None,
) -> TaggerParams:
    """Makes the parameters of `ctc_recogniser`: those of a tagger with one class more.

    Args:
      layers: of the stack, from the bottom to the top.
      key: consumed.
      input_size: features D of each step, or of the vector of each token.
      hidden_size: as in `init_stack`.
      num_classes: labels K, without the blank.
      num_tokens: tokens V of a vocabulary, as in `init_tagger`; None is a model of features.

    Raises:
      ValueError, TypeError: as `init_stack`.

    Example:
      >>> from birnn_jax.models import init_ctc_recogniser
      >>> init_ctc_recogniser(LSTM, jax.random.key(0), 3, 4, num_classes=5).w.shape
      (8, 6)
    """
    sizes = {"input_size": input_size, "hidden_size": hidden_size}
    num_classes = as_size("num_classes", num_classes) + 1
    return init_tagger(layers, key, **sizes, num_classes=num_classes, num_tokens=num_tokens)


@over_rows("xs")
def ctc_recogniser(
    layers: Layers,
    params: TaggerParams,
    xs: jax.Array,
    lengths: Lengths = None,
    *,
    dropout: float | jax.Array = 0.0,
    locked_dropout: float | jax.Array = 0.0,
    key: jax.Array | None = None,
) -> tuple[jax.Array, Lengths]:
    """Scores the blank and every label at every step that the layers leave.

    Args:
      layers: as given to `init_ctc_recogniser`; under `jax.jit` as in `stack`.
      params: from `init_ctc_recogniser`.
      xs: features `[B, T, D]`; tokens `[B, T]`, integers, if the params have an embedding. What
        stands in padding is never used.
      lengths: `[B]` integers, or a `Mask`; None means that all T steps are valid.
      dropout: rate between layers, while there is a `key`. An embedding counts as a layer.
      locked_dropout: the same with one mask for all steps of a row.
      key: consumed; as in `stack`.

    Returns:
      logits: `[B, S, 1 + K]`, the blank first, in float32 at least; S is T, or fewer steps with
        layers that subsample.
      logit_lengths: `stack_lengths(layers, lengths)`, for the loss and for decoding.

    Raises:
      ValueError, TypeError: as `tagger`.

    Example:
      >>> from birnn_jax.models import (
      ...     ctc_recogniser, ctc_recogniser_decode, ctc_recogniser_loss, init_ctc_recogniser
      ... )
      >>> layers = (Layer(LSTM), Layer(LSTM, subsample=2))
      >>> params = init_ctc_recogniser(layers, jax.random.key(0), 3, 4, num_classes=5)
      >>> xs = jax.random.normal(jax.random.key(1), [2, 9, 3])
      >>> logits, logit_lengths = ctc_recogniser(layers, params, xs, jnp.array([9, 6]))
      >>> logit_lengths.tolist()
      [5, 3]
      >>> labels, label_lengths = jnp.array([[4, 0, 0], [2, 0, 0]]), jnp.array([3, 1])
      >>> loss = ctc_recogniser_loss(logits, logit_lengths, labels, label_lengths)
      >>> found, found_lengths = ctc_recogniser_decode(logits, logit_lengths)
      >>> found.shape
      (2, 5)

    References:
      Graves et al., Connectionist Temporal Classification, 2006; Graves, Mohamed and Hinton, Speech
      Recognition with Deep Recurrent Neural Networks, 2013.
    """
    rates = {"dropout": dropout, "locked_dropout": locked_dropout}
    logits = tagger(layers, params, xs, lengths, **rates, key=key)
    return logits, stack_lengths(layers, lengths)


@over_rows("logits")
def ctc_recogniser_loss(
    logits: jax.Array, logit_lengths: Lengths, labels: jax.Array, label_lengths: Lengths = None
) -> Total:
    """The negative log-likelihood of rows of labels: `birnn_jax.heads.ctc_loss`.

    Args:
      logits: `[B, S, 1 + K]`, from `ctc_recogniser`.
      logit_lengths: from `ctc_recogniser`.
      labels: `[B, N]` integers from 0 to K - 1. What stands in padding is never used; a valid label
        that is none makes the loss NaN.
      label_lengths: `[B]` integers, or a `Mask` of the labels; None means that all N are valid.

    Returns:
      `Total` of nats over rows. Rows whose labels do not fit in their steps are left out.

    Raises:
      ValueError, TypeError: as `ctc_loss`.

    Example:
      >>> from birnn_jax.models import ctc_recogniser_loss
      >>> total = ctc_recogniser_loss(jnp.zeros([1, 2, 3]), None, jnp.array([[0]]))
      >>> round(float(jnp.exp(-total.sum)), 4)  # "0-", "-0" and "00", of nine
      0.3333
    """
    labels = as_array("labels", labels)
    return ctc_loss(logits, logit_lengths, labels + 1, label_lengths, zero_infinity=True)


@over_rows("logits")
def ctc_recogniser_decode(
    logits: jax.Array, logit_lengths: Lengths = None, *, beam_width: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """The labels of the most probable path, or by a beam search the most probable labels.

    Args:
      logits: `[B, S, 1 + K]`, from `ctc_recogniser`.
      logit_lengths: from `ctc_recogniser`.
      beam_width: beginnings that `birnn_jax.heads.ctc_beam_decode` keeps; None takes the most
        probable path, by `ctc_greedy_decode`.

    Returns:
      labels: `[B, S]` int32 from 0 to K - 1, from the left, -1 behind them.
      label_lengths: `[B]` int32.

    Raises:
      ValueError, TypeError: as `ctc_loss`; also if `beam_width` is below 1.

    Example:
      >>> from birnn_jax.models import ctc_recogniser_decode
      >>> path = jnp.array([[1, 1, 0, 1, 2]])  # 0 is the blank
      >>> labels, label_lengths = ctc_recogniser_decode(jax.nn.one_hot(path, 3))
      >>> labels.tolist(), label_lengths.tolist()
      ([[0, 0, 1, -1, -1]], [3])
    """
    if beam_width is None:
        labels, label_lengths = ctc_greedy_decode(logits, logit_lengths)
    else:
        beam, beam_lengths, _ = ctc_beam_decode(logits, logit_lengths, width=beam_width)
        labels, label_lengths = beam[:, 0], beam_lengths[:, 0]
    return jnp.maximum(labels - 1, -1), label_lengths
