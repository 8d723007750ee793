"""Central types, and the notation used in every docstring.

| name | meaning |
| --- | --- |
| `B T D H L K V` | batch, time, input features, hidden units, layers, classes, vocabulary |
| `x`, `xs` | input at one step `[D]`; over time `[T, D]` or `[B, T, D]` |
| `y`, `ys` | output, by the same rule; of two directions `[B, T, 2H]`, forward half first |
| `h`, `c` | hidden state and cell state |
| `carry` | everything a cell hands to its next step |
| `w_x`, `w_h`, `b` | weights of input `[D, G*H]` and state `[H, G*H]`, bias `[G*H]`, for G gates |
| `lengths` | `[B]` integers, the number of valid steps of each row |
| `mask` | `[B, T]` bool, True at valid steps |
| `fwd`, `bwd` | the two directions of *time*; "forward" and "backward" belong to differentiation |
| `key` | a `jax.random.key`, consumed by the function that receives it |
"""

from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import jax

Params = Any  # a pytree of arrays that a cell understands
Carry = Any  # a pytree of arrays that a cell understands

T = TypeVar("T")


class InitFn(Protocol):
    """Makes the parameters of a cell."""

    def __call__(self, key: jax.Array, input_size: int, hidden_size: int) -> Params:
        """Consumes `key`. Every size the cell needs must be readable from what is returned."""
        ...


class InitialCarryFn(Protocol):
    """Makes the carry that stands before the first step."""

    def __call__(self, params: Params) -> Carry:
        """For one sequence, without a batch axis."""
        ...


class StepFn(Protocol):
    """Advances one sequence by one step of time."""

    def __call__(self, params: Params, carry: Carry, x: jax.Array) -> tuple[Carry, jax.Array]:
        """In the order of `lax.scan`: carry first, and `(carry, y)` back.

        `x` is `[D]`, `y` is `[H]`. The new carry has the structure and the shapes of the old one.
        The step must be differentiable at `x = 0`, which is what it sees in padding.
        """
        ...


class Cell(NamedTuple):
    """A recurrent cell: three pure functions over one time step of one sequence.

    Make cells once, at module level: a cell is a static argument of `jax.jit`, compared by its
    functions.

    Example:
      A leaky integrator, usable wherever `birnn_jax.LSTM` is:

      >>> def leaky_init(key, input_size, hidden_size):
      ...     return jax.random.normal(key, [input_size, hidden_size]) / input_size**0.5
      >>> def leaky_initial_carry(params):
      ...     return jnp.zeros(params.shape[1])
      >>> def leaky_step(params, carry, x):
      ...     h = 0.9 * carry + 0.1 * jnp.tanh(x @ params)
      ...     return h, h
      >>> LEAKY = Cell(leaky_init, leaky_initial_carry, leaky_step)
    """

    init: InitFn
    initial_carry: InitialCarryFn
    step: StepFn


class Bi(NamedTuple, Generic[T]):
    """A pair with one value for each direction of time: cells, parameters, carries, outputs.

    Example:
      >>> Bi(fwd=1, bwd=2).bwd
      2
    """

    fwd: T
    bwd: T
