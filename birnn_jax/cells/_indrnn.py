"""IndRNN: every unit remembers only itself."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.checks import as_size
from .._core.describe import describe, name_function
from .._core.dtypes import product, widen
from .._core.types import Cell
from ._diagonal import DiagonalStep
from ._elman import ElmanCarry, ElmanGates, elman_update
from ._gated import ActivationGates
from ._init import Initializer, checked_init, init_weights


class IndRNNParams(NamedTuple):
    """Parameters of `INDRNN` and of `indrnn(activation)`."""

    w_x: jax.Array  # [D, H]
    w_h: jax.Array  # [H], one weight a unit
    b: jax.Array  # [H]


def indrnn(activation: Callable[[jax.Array], jax.Array]) -> Cell:
    """The independently recurrent cell with any nonlinearity; `INDRNN` has the ReLU.

    Args:
      activation: elementwise, made once: cells of the same function are equal.

    Example:
      >>> from birnn_jax.cells import INDRNN, indrnn
      >>> indrnn(jax.nn.relu) == INDRNN, indrnn(jnp.tanh) == INDRNN
      (True, False)
    """
    if not callable(activation):
        raise TypeError(
            "activation must be a function, such as jax.nn.relu or jnp.tanh, got "
            f"{describe(activation)}."
        )
    return Cell(_init, _init_carry, DiagonalStep(_GatesFn(activation), elman_update))


class _GatesFn(ActivationGates):
    def __call__(self, params: IndRNNParams, carry: ElmanCarry, x: jax.Array) -> ElmanGates:
        a = product(x, params.w_x) + carry.h * widen(params.w_h) + widen(params.b)
        return ElmanGates(self.activation(a))

    def describe_cell(self, cell: Cell) -> str | None:
        """The function that makes the cell, with its activation."""
        made = indrnn(self.activation)
        return f"indrnn({name_function(self.activation)})" if cell == made else None


@checked_init
def _init(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    w_x: Initializer = "glorot_uniform",
    time_span: int | None = None,
) -> IndRNNParams:
    if time_span is not None:
        as_size("time_span", time_span)
    key_x, key_h = jax.random.split(key)
    bound = 1.0 if time_span is None else 2 ** (1 / time_span)
    return IndRNNParams(
        w_x=init_weights(key_x, input_size, 1, hidden_size, w_x),
        w_h=jax.random.uniform(key_h, (hidden_size,), maxval=bound),
        b=jnp.zeros(hidden_size),
    )


def _init_carry(params: IndRNNParams) -> ElmanCarry:
    return ElmanCarry(h=jnp.zeros_like(widen(params.w_h)))


INDRNN = indrnn(jax.nn.relu)
"""The independently recurrent cell.

    h[t] = relu(x[t] w_x + h[t-1] * w_h + b)

One recurrent weight a unit: units meet only in the layer above, so stack at least two. Recurrent
weights start uniform between 0 and 1, or, with `time_span` T, between 0 and 2^(1/T), above which
a ReLU unit grows more than twofold within T steps. Options of `with_init`: w_x, time_span.

References:
  Li et al., Independently Recurrent Neural Network (IndRNN), 2018.
"""
