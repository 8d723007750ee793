"""How a translation is found."""

from typing import Any, NamedTuple

import jax

from birnn_jax.heads import beam_search, greedy_search
from birnn_jax.models import seq2seq_encode
from experiments.runner.run.programs import quick_jit
from experiments.translation.config import Translator
from experiments.translation.model import make_step
from experiments.translation.subwords import BEGIN, END

MORE_STEPS = 8  # a translation has at most twice the padded source's subwords and so many more


class Search(NamedTuple):
    """How a translation is found; width 1 is greedy."""

    width: int
    penalty: float


@quick_jit(static_argnames=("model", "search"))
def find(
    model: Translator, search: Search, params: Any, source: jax.Array, lengths: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The best subwords of each row, `[B, N]`, and how many of them there are, `[B]`."""
    memory, state = seq2seq_encode(model.network, params, source, lengths)
    step = make_step(model, params)
    marks = {"begin": BEGIN, "end": END, "max_length": 2 * source.shape[1] + MORE_STEPS}
    if search.width == 1:
        found = greedy_search(step, memory, state, **marks)
        return found.tokens, found.lengths
    found = beam_search(
        step, memory, state, **marks, width=search.width, length_penalty=search.penalty
    )
    return found.tokens[:, 0], found.lengths[:, 0]
