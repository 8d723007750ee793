"""The Elman cell: one hidden state, one nonlinearity."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from .._core.describe import describe, name_function
from .._core.dtypes import as_output, product, sum_dtype, widen
from .._core.types import Cell
from ._gated import ActivationGates, GatedStep
from ._init import Bias, Initializer, checked_init, init_gate_bias, init_weights


class ElmanParams(NamedTuple):
    """Parameters of `ELMAN` and of `elman(activation)`."""

    # In the order in which the native kernels read them, kernels/cpu/src/buffers.h.
    w_x: jax.Array  # [D, H]
    w_h: jax.Array  # [H, H]
    b: jax.Array  # [H]


class ElmanCarry(NamedTuple):
    """Carry of `ELMAN`: the hidden state."""

    h: jax.Array  # [H]


class ElmanGates(NamedTuple):
    """The new state, which nothing gates."""

    h: jax.Array  # [H]


def elman(activation: Callable[[jax.Array], jax.Array]) -> Cell:
    """The Elman cell with any nonlinearity, for example `jax.nn.relu`.

        h[t] = activation(x[t] w_x + h[t-1] w_h + b)

    Args:
      activation: elementwise, made once: cells of the same function are equal.

    Returns:
      A `Cell` with the parameters, the carry and the options of `birnn_jax.ELMAN`.
      `with_init(w_h="identity")` starts a ReLU cell as the IRNN of Le et al.

    Example:
      >>> from birnn_jax.cells import elman
      >>> elman(jax.nn.relu) == elman(jax.nn.relu), elman(jax.nn.relu) == ELMAN
      (True, False)

    References:
      Le, Jaitly and Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear
      Units, 2015.
    """
    if not callable(activation):
        raise TypeError(
            "activation must be a function, such as jax.nn.relu or jnp.tanh, got "
            f"{describe(activation)}."
        )
    return Cell(_init, _init_carry, GatedStep(_GatesFn(activation), elman_update))


def elman_update(
    params: ElmanParams, carry: ElmanCarry, gates: ElmanGates
) -> tuple[ElmanCarry, jax.Array]:
    """Takes the new state as it is."""
    return ElmanCarry(gates.h), as_output(gates.h, params)


class _GatesFn(ActivationGates):
    def __call__(self, params: ElmanParams, carry: ElmanCarry, x: jax.Array) -> ElmanGates:
        a = product(x, params.w_x) + product(carry.h, params.w_h) + widen(params.b)
        return ElmanGates(self.activation(a))

    def describe_cell(self, cell: Cell) -> str | None:
        """The function that makes the cell, with its activation."""
        made = elman(self.activation)
        return f"elman({name_function(self.activation)})" if cell == made else None


@checked_init
def _init(
    key: jax.Array,
    input_size: int,
    hidden_size: int,
    *,
    w_x: Initializer = "glorot_uniform",
    w_h: Initializer = "orthogonal",
    b: Bias = "zeros",
) -> ElmanParams:
    key_x, key_h, key_b = jax.random.split(key, 3)
    return ElmanParams(
        w_x=init_weights(key_x, input_size, 1, hidden_size, w_x),
        w_h=init_weights(key_h, hidden_size, 1, hidden_size, w_h),
        b=init_gate_bias(key_b, "n", hidden_size, b=b),
    )


def _init_carry(params: ElmanParams) -> ElmanCarry:
    return ElmanCarry(h=jnp.zeros(params.w_h.shape[0], sum_dtype(params.w_h.dtype)))


def _tanh(a: jax.Array) -> jax.Array:
    return jnp.tanh(a)  # by a name of its own, so that the cell can be pickled


ELMAN = elman(_tanh)
"""The Elman cell.

    h[t] = tanh(x[t] w_x + h[t-1] w_h + b)

Input weights start Glorot-uniform, recurrent weights orthogonal, the bias at zero; options of
`with_init`: w_x, w_h, b.

References:
  Elman, Finding Structure in Time, 1990.
"""
