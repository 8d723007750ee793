"""What both models of music are built on: a stack and a projection."""

from collections.abc import Sequence
from typing import Any

import jax

from birnn_jax import Layer, locked_dropout, stack
from birnn_jax.data import split_row_keys
from birnn_jax.models import TaggerParams


def read(
    layers: Sequence[Layer],
    params: TaggerParams,
    xs: jax.Array,
    lengths: jax.Array | None,
    dropout: float,
    *,
    carry: Any = None,
    keys: jax.Array | None = None,
) -> tuple[Any, jax.Array]:
    """A stack and a projection, with dropout of the outputs of every layer.

    `keys` are one for each row; None is evaluation.
    """
    key_stack, key_top = (None, None) if keys is None else split_row_keys(keys, 2)
    options = {"initial_carry": carry, "locked_dropout": dropout, "key": key_stack}
    carry, ys = stack(layers, params.rnn, xs, lengths, **options)
    ys = locked_dropout(ys, dropout, key_top)
    return carry, ys @ params.w + params.b[None, None]
