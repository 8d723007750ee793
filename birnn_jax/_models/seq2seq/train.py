"""Every token of a target scored at once, given the right ones before it."""

from typing import Any

import jax
import jax.numpy as jnp

from ..._core.checks import as_array
from ..._core.describe import describe
from ..._core.masks import Lengths
from ..._core.meshes import over_rows, scan
from ..._stacks.dropout import dropout as apply_dropout
from ...kernels.keys import fold_in_number, row_keys, uniform
from .model import Seq2Seq, Seq2SeqParams
from .step import FED, READS, WORDS, look_up, read, score, seq2seq_encode


@over_rows("source")
def seq2seq(
    model: Seq2Seq,
    params: Seq2SeqParams,
    source: jax.Array,
    target: jax.Array,
    *,
    lengths: Lengths = None,
    dropout: float | jax.Array = 0.0,
    teacher_forcing: float | jax.Array | None = None,
    key: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Scores every token at every place of the target, given the right ones before it.

    `birnn_jax.cross_entropy(logits, target, target_lengths)` is the loss.

    Args:
      model: as given to `init_seq2seq`; static under `jax.jit`, or an argument as any other.
      params: from `init_seq2seq`.
      source: features `[B, T, D]`; tokens `[B, T]`, integers, if the params have an embedding.
      target: `[B, N]` integers, `model.end` included. What stands in padding does not matter.
      lengths: `[B]` integers, of the source, or a `Mask`; None means that all T steps are valid.
      dropout: rate of embedded tokens, between layers, of the states of the encoder and before the
        softmax layer, while there is a `key`.
      teacher_forcing: probability that the decoder reads the right token before and not the one
        that it held for the likeliest (scheduled sampling), while there is a `key`; None always
        reads the right one.
      key: consumed; one key or `[B]` keys as in `birnn_jax.dropout`.

    Returns:
      logits: `[B, N, K]`, in float32 at least.
      weights: `[B, N, T]`, of attention.

    Raises:
      ValueError, TypeError: as `seq2seq_encode`.

    Example:
      >>> from birnn_jax.models import Seq2Seq, init_seq2seq, seq2seq, seq2seq_decode
      >>> model = Seq2Seq(LSTM, LSTM, begin=1, end=2)
      >>> params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=50, num_tokens=90)
      >>> source, target = jnp.array([[7, 40, 2], [8, 2, 0]]), jnp.array([[30, 31, 2], [9, 2, 0]])
      >>> lengths, target_lengths = jnp.array([3, 2]), jnp.array([3, 2])
      >>> logits, weights = seq2seq(model, params, source, target, lengths=lengths)
      >>> loss = cross_entropy(logits, target, target_lengths)
      >>> found = seq2seq_decode(model, params, source, lengths, max_length=9, beam_width=4)
      >>> found.tokens.shape
      (2, 4, 9)

    References:
      Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks,
      2015 (teacher_forcing); beside those of `Seq2Seq`.
    """
    target = as_array("target", target)
    if target.ndim != 2 or not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"target must be tokens, integers [B, N], got {describe(target)}.")
    keys = None if key is None else row_keys(key, target.shape[0])
    memory, state = seq2seq_encode(model, params, source, lengths, dropout=dropout, key=keys)
    right = jnp.pad(target, ((0, 0), (1, 0)), constant_values=model.begin)[:, :-1]
    reads_right = jnp.ones(right.shape, bool)
    sampled = teacher_forcing is not None and keys is not None
    if teacher_forcing is not None and keys is not None:
        drawn = uniform(fold_in_number(keys, READS), right.shape[1]) < teacher_forcing
        reads_right = drawn | (jnp.arange(right.shape[1]) == 0)[None]
    kept = jnp.ones([*right.shape, params.target.shape[1]], params.target.dtype)
    kept = apply_dropout(kept, dropout, fold_in_number(keys, WORDS))

    def step(carried: Any, now: Any) -> tuple[Any, Any]:
        state, own = carried
        gold, reads_gold, kept = now
        words = look_up(params.target, jnp.where(reads_gold, gold, own)) * kept
        state, weights = read(model, params, memory, state, words)
        if sampled:
            logits = score(params, jax.lax.stop_gradient(state.fed))
            own = logits.argmax(axis=-1).astype(own.dtype)
        return (state, own), (state.fed, weights)

    along = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), (right, reads_right, kept))
    _, (fed, weights) = scan(step, (state, right[:, 0]), along)
    fed = apply_dropout(jnp.moveaxis(fed, 0, 1), dropout, fold_in_number(keys, FED))
    return score(params, fed), jnp.moveaxis(weights, 0, 1)
