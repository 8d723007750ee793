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
given narrower than `cell.init_carry` is widened to it.
"""

import dataclasses
import inspect
from typing import Any, Generic, NamedTuple, NoReturn, Protocol, runtime_checkable

import jax
from typing_extensions import ParamSpec, TypeVar

from .deprecated import renamed_keyword, warn
from .describe import describe, find_constant, name_function

Params = Any  # a pytree of arrays that a cell understands
Carry = Any  # a pytree of arrays that a cell understands

# What a type checker knows about a cell: its parameters, its carry, the options of its init.
P = TypeVar("P", default=Any)
C = TypeVar("C", default=Any)
Options = ParamSpec("Options", default=...)

P_co = TypeVar("P_co", covariant=True)
P_contra = TypeVar("P_contra", contravariant=True)
C_co = TypeVar("C_co", covariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)


class InitFn(Protocol[P_co, Options]):
    """Makes the parameters of a cell.

    Options of initialisation are keyword-only arguments with defaults; see `Cell.with_init`.
    """

    def __call__(
        self,
        key: jax.Array,
        input_size: int,
        hidden_size: int,
        /,
        *args: Options.args,
        **options: Options.kwargs,
    ) -> P_co:
        """Consumes `key`. Every size the cell needs must be readable from what is returned."""
        ...


class InitCarryFn(Protocol[P_contra, C_co]):
    """Makes the carry that stands before the first step."""

    def __call__(self, params: P_contra, /) -> C_co:
        """For one sequence, without a batch axis, in the dtypes in which it is to be carried."""
        ...


class StepFn(Protocol[P_contra, C]):
    """Advances one sequence by one step of time."""

    def __call__(self, params: P_contra, carry: C, x: jax.Array, /) -> tuple[C, jax.Array]:
        """In the order of `lax.scan`: carry first, and `(carry, y)` back.

        `x` is `[D]`, `y` is `[H]`. The new carry has the structure and the shapes of the old one.
        The step must be differentiable at `x = 0`, which is what it sees in padding.
        """
        ...


@renamed_keyword("initial_carry", "init_carry")
@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, repr=False)
class Cell(Generic[P, C, Options]):
    """A recurrent cell: three pure functions over one time step of one sequence.

    Make cells once, at module level: JAX compiles once for each cell, compared by its functions. A
    cell has no arrays, so that `jax.jit`, `jax.vmap` and the like take it as any other argument,
    static or not.

    For type checkers it is `Cell[parameters, carry]`, such as `Cell[LSTMParams, LSTMCarry]`: they
    and editors then know the fields of what `bidirectional` takes and returns.

    Args:
      init: `(key, input_size, hidden_size)` to parameters.
      init_carry: parameters to the carry before the first step.
      step: `(params, carry, x)` to `(carry, y)`.

    Raises:
      TypeError: for what cannot be called, or is not hashable.

    Example:
      A leaky integrator, usable wherever `birnn_jax.LSTM` is:

      >>> def leaky_init(key, input_size, hidden_size):
      ...     return jax.random.normal(key, [input_size, hidden_size]) / input_size**0.5
      >>> def leaky_init_carry(params):
      ...     return jnp.zeros(params.shape[1])
      >>> def leaky_step(params, carry, x):
      ...     h = 0.9 * carry + 0.1 * jnp.tanh(x @ params)
      ...     return h, h
      >>> LEAKY = Cell(leaky_init, leaky_init_carry, leaky_step)
    """

    init: InitFn[P, Options]
    init_carry: InitCarryFn[P, C]
    step: StepFn[P, C]

    def __post_init__(self) -> None:
        """Refuses what is no function, or could not be told apart by `jax.jit`."""
        for field in dataclasses.fields(self):
            function = getattr(self, field.name)
            if not callable(function):
                raise TypeError(
                    "A cell is made of three functions, init, init_carry and step; got "
                    f"{describe(function)} for {field.name}."
                )
            _check_hashable(f"The {field.name} of a cell", function)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: a cell is no layer with parameters inside."""
        raise TypeError(
            f"{self!r} is a cell, without sizes and parameters, and is not called. Make parameters "
            f"by params = init_bidirectional({self!r}, key, input_size=..., hidden_size=...), and "
            f"run it by carry, ys = bidirectional({self!r}, params, xs, lengths)."
        )

    def with_init(self, *args: Options.args, **options: Options.kwargs) -> "Cell[P, C, Options]":
        """This cell with other options of `init`; cells made with the same options are equal.

        Args:
          **options: keyword arguments of `init`, hashable. They add to those given before.

        Raises:
          ValueError: if `init` has no such option.
          TypeError: if an option is not hashable: the cell could not be static under `jax.jit`.
            For options without a name.

        Example:
          >>> cell = LSTM.with_init(forget_bias=2.0)
          >>> params = init_bidirectional(cell, jax.random.key(0), input_size=3, hidden_size=1)
          >>> params.bwd.b.tolist(), cell == LSTM.with_init(forget_bias=2.0)
          ([0.0, 2.0, 0.0, 0.0], True)
        """
        if args:
            raise TypeError(
                "with_init takes options by their names, such as LSTM.with_init(forget_bias=2.0), "
                f"got {describe(args[0])}."
            )
        init: Any = self.init
        before: dict[str, Any] = {}
        if isinstance(init, InitWithOptions):
            init, before = init.init, dict(init.options)
        parameters = inspect.signature(init).parameters.values()
        known = [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        for name, value in options.items():
            if name not in known:
                raise ValueError(
                    f"Unknown option {name!r} for the init of {self!r}. Available: "
                    f"{', '.join(known) or 'none'}."
                )
            _check_hashable(name, value)
        merged = tuple(sorted((before | options).items()))
        return self._replace(init=InitWithOptions(init, merged))

    @property
    def initial_carry(self) -> InitCarryFn[P, C]:
        """Of before `init_carry`."""
        warn("Cell.initial_carry", "Cell.init_carry")
        return self.init_carry

    def _replace(self, **functions: Any) -> "Cell[P, C, Options]":
        """This cell with other functions; named as the method of a NamedTuple is."""
        return dataclasses.replace(self, **functions)

    def __copy__(self) -> "Cell[P, C, Options]":
        return self

    def __deepcopy__(self, memo: Any) -> "Cell[P, C, Options]":
        return self  # copies of functions are not equal to them

    def __repr__(self) -> str:
        parts = (self.init, self.init_carry, self.step)
        if name := find_constant(self, parts):
            return name
        for part in (self.step, self.init, self.init_carry):
            if isinstance(part, CellPart) and (text := part.describe_cell(self)):
                return text
        return f"Cell({', '.join(map(name_function, parts))})"


@runtime_checkable
class CellPart(Protocol):
    """A function of a cell that knows how the cell was made from another."""

    def describe_cell(self, cell: Cell) -> str | None:
        """The code that makes `cell`, of which this is a part; None if it cannot be told."""
        ...


@dataclasses.dataclass(frozen=True)
class InitWithOptions:
    """An `InitFn` with options filled in: a `functools.partial` that compares by its contents."""

    init: Any  # an `InitFn` with the options
    options: tuple[tuple[str, Any], ...]

    def __call__(self, key: jax.Array, input_size: int, hidden_size: int, /) -> Params:
        """Makes the parameters with the options."""
        return self.init(key, input_size, hidden_size, **dict(self.options))

    def describe_cell(self, cell: Cell) -> str:
        """The cell without the options, and `with_init` with them."""
        options = ", ".join(
            f"{name}={name_function(value) if callable(value) else repr(value)}"
            for name, value in self.options
        )
        return f"{cell._replace(init=self.init)!r}.with_init({options})"


def _check_hashable(name: str, value: Any) -> None:
    try:
        hash(value)
    except TypeError as error:
        raise TypeError(
            f"{name} must be hashable, such as a number, a name, a function defined once or a "
            f"frozen dataclass, got {describe(value)}: JAX compiles once for each cell."
        ) from error


class Bi(NamedTuple, Generic[T_co]):
    """A pair with one value for each direction of time: cells, parameters, carries, outputs.

    Example:
      >>> Bi(fwd=1, bwd=2).bwd
      2
    """

    fwd: T_co
    bwd: T_co
