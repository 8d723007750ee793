"""Stacks to run in pieces, with random parameters and carries."""

import jax

from birnn_jax import ELMAN, GRU, Layer, init_stack, streaming
from tests.library._cases import (
    B,
    D,
    H,
    random_like,
)

MORE = (
    Layer(GRU, norm="pre", projection=D, connection="residual", learned_carry=True),
    Layer(ELMAN, direction="fwd", norm="post", projection=D, connection="highway"),
)


def random_stack(layers, dtype="float32"):
    key = jax.random.key(0)
    params = jax.eval_shape(lambda: init_stack(layers, key, input_size=D, hidden_size=H))
    return random_like(params, 3, dtype)


def random_carry(layers, params):
    return random_like(streaming.initial_carry(layers, params, B), 4, None)
