"""Targets written by the decoder itself."""

from typing import Any

import jax
import jax.numpy as jnp

from ..._core.masks import Lengths
from ..._core.meshes import over_rows
from ...heads._beam_search import Hypotheses, beam_search, greedy_search
from .model import Seq2Seq, Seq2SeqParams
from .step import DecoderState, Memory, seq2seq_encode, seq2seq_step


@over_rows("source")
def seq2seq_decode(
    model: Seq2Seq,
    params: Seq2SeqParams,
    source: jax.Array,
    lengths: Lengths = None,
    *,
    max_length: int,
    beam_width: int | None = None,
    length_penalty: float = 0.0,
) -> Hypotheses:
    """Writes the likeliest targets, by `greedy_search` or `beam_search` of `birnn_jax.heads`.

    Args:
      model: as given to `init_seq2seq`.
      params: from `init_seq2seq`.
      source: features `[B, T, D]`, or tokens `[B, T]`.
      lengths: as in `seq2seq_encode`.
      max_length: tokens N of the longest target, the end included; a longer one is cut off.
      beam_width: hypotheses W of the beam search; None writes the likeliest token at every step.
      length_penalty: of the beam search; 0 is none.

    Returns:
      `Hypotheses`: tokens `[B, W, N]`, -1 behind them, without the end; lengths and scores
      `[B, W]`. Without a beam the axis W is missing.

    Raises:
      ValueError, TypeError: as `seq2seq_encode` and `beam_search`.

    Example:
      >>> from birnn_jax.models import Seq2Seq, init_seq2seq, seq2seq_decode
      >>> model = Seq2Seq(LSTM, LSTM, begin=1, end=2)
      >>> params = init_seq2seq(model, jax.random.key(0), 3, 4, num_classes=50, num_tokens=90)
      >>> seq2seq_decode(model, params, jnp.array([[7, 40, 2]]), max_length=9).tokens.shape
      (1, 9)
    """
    memory, state = seq2seq_encode(model, params, source, lengths)
    never = jnp.arange(params.b.shape[0]) == model.begin

    def step(memory: Memory, state: DecoderState, token: jax.Array) -> Any:
        row = jax.tree.map(lambda leaf: leaf[None], (memory, state))
        state, logits, _ = seq2seq_step(model, params, *row, tokens=token[None])
        logits = jnp.where(never, -jnp.inf, logits[0])
        return jax.tree.map(lambda leaf: leaf[0], state), logits

    marks: dict[str, int] = {"begin": model.begin, "end": model.end, "max_length": max_length}
    if beam_width is None:
        return greedy_search(step, memory, state, **marks)
    return beam_search(
        step, memory, state, **marks, width=beam_width, length_penalty=length_penalty
    )
