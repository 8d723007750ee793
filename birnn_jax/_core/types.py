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

Dtypes: the inputs and outputs of a layer, and both sides of its products, have the dtype of its
parameters. Sums of products, gates, carries and the gradients of parameters while they are added
up have float32 at least (`_dtypes`). A carry keeps the dtypes that it begins with; one that is
given narrower than `cell.initial_carry` is widened to it.
"""

import dataclasses
import inspect
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import jax

Params = Any  # a pytree of arrays that a cell understands
Carry = Any  # a pytree of arrays that a cell understands

T = TypeVar("T")


class InitFn(Protocol):
    """Makes the parameters of a cell.

    Options of initialisation are keyword-only arguments with defaults; see `Cell.with_init`.
    """

    def __call__(self, key: jax.Array, input_size: int, hidden_size: int) -> Params:
        """Consumes `key`. Every size the cell needs must be readable from what is returned."""
        ...


class InitialCarryFn(Protocol):
    """Makes the carry that stands before the first step."""

    def __call__(self, params: Params) -> Carry:
        """For one sequence, without a batch axis, in the dtypes in which it is to be carried."""
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

    def with_init(self, **options: Any) -> "Cell":
        """This cell with other options of `init`; cells made with the same options are equal.

        Args:
          **options: keyword arguments of `init`, hashable. They add to those given before.

        Raises:
          ValueError: if `init` has no such option.
          TypeError: if an option is not hashable: the cell could not be static under `jax.jit`.

        Example:
          >>> cell = LSTM.with_init(forget_bias=2.0)
          >>> params = init_bidirectional(cell, jax.random.key(0), input_size=3, hidden_size=1)
          >>> params.bwd.b.tolist(), cell == LSTM.with_init(forget_bias=2.0)
          ([0.0, 2.0, 0.0, 0.0], True)
        """
        init, before = self.init, {}
        if isinstance(init, InitWithOptions):
            init, before = init.init, dict(init.options)
        _check_options(init, options)
        merged = tuple(sorted((before | options).items()))
        return self._replace(init=InitWithOptions(init, merged))


@dataclasses.dataclass(frozen=True)
class InitWithOptions:
    """An `InitFn` with options filled in: a `functools.partial` that compares by its contents."""

    init: InitFn
    options: tuple[tuple[str, Any], ...]

    def __call__(self, key: jax.Array, input_size: int, hidden_size: int) -> Params:
        """Makes the parameters with the options."""
        return self.init(key, input_size, hidden_size, **dict(self.options))


def _check_options(init: InitFn, options: dict[str, Any]) -> None:
    parameters = inspect.signature(init).parameters.values()
    known = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    for name, value in options.items():
        if name not in known:
            expected = ", ".join(known) or "none"
            raise ValueError(f"{name!r} is no option of this cell's init; it has {expected}.")
        try:
            hash(value)
        except TypeError as error:
            raise TypeError(
                f"{name} must be hashable, such as a number, a name or a function defined once, "
                f"got {type(value).__name__}."
            ) from error


class Bi(NamedTuple, Generic[T]):
    """A pair with one value for each direction of time: cells, parameters, carries, outputs.

    Example:
      >>> Bi(fwd=1, bwd=2).bwd
      2
    """

    fwd: T
    bwd: T
