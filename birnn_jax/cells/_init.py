"""Initialisers shared by the cells, applied to each gate on its own."""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, Literal, cast

import jax
import jax.numpy as jnp
from jax.nn import initializers

from .._core.checks import as_size, check_choice, check_key, check_number
from .._core.types import InitFn, Options, P

Initializer = str | Callable[[jax.Array, tuple[int, int]], jax.Array]
"""A name in `INITIALIZERS`, or a function of a key and the shape of one gate's block."""

Bias = Literal["zeros", "torch"]

INITIALIZERS = {
    "glorot_uniform": initializers.glorot_uniform(),
    "glorot_normal": initializers.glorot_normal(),
    "he_uniform": initializers.he_uniform(),
    "he_normal": initializers.he_normal(),
    "orthogonal": initializers.orthogonal(),
    "identity": lambda key, shape: jnp.eye(*shape),
}


def checked_init(
    init: Callable[Concatenate[jax.Array, int, int, Options], P],
) -> InitFn[P, Options]:
    """The init of a built-in cell, which may be called by itself, with its arguments checked."""
    make = cast(Callable[..., P], init)

    @functools.wraps(init)
    def init_checked(key: jax.Array, input_size: int, hidden_size: int, **options: Any) -> P:
        check_key(key)
        sizes = as_size("input_size", input_size), as_size("hidden_size", hidden_size)
        return make(key, *sizes, **options)

    return cast(InitFn[P, Options], init_checked)


def with_options_of(
    init: InitFn[Any, Options],
) -> Callable[[Callable[..., P]], InitFn[P, Options]]:
    """Makes an init that hands its options on to `init` have their names, for `with_init`."""
    wrap: Any = functools.wraps(init, assigned=())
    return wrap


def init_weights(
    key: jax.Array,
    rows: int,
    num_gates: int,
    hidden_size: int,
    initializer: Initializer,
    *,
    columns: int | None = None,
) -> jax.Array:
    """`[rows, num_gates * columns]`, every gate block drawn by `initializer` by itself.

    Orthogonal or Glorot draws over the wide matrix would give each gate the wrong scale. A block
    has `hidden_size` columns unless told otherwise; "torch" is uniform within 1/sqrt(hidden_size).
    """
    draw = _as_function(initializer, hidden_size)
    shape = (rows, hidden_size if columns is None else columns)
    return jnp.concatenate([draw(k, shape) for k in jax.random.split(key, num_gates)], axis=1)


def init_bias(key: jax.Array, num_gates: int, hidden_size: int, bias: Bias) -> jax.Array:
    """`[num_gates * hidden_size]`: zeros, or as torch draws one of its two biases."""
    check_choice("b", bias, ("zeros", "torch"))
    if bias == "zeros":
        return jnp.zeros(num_gates * hidden_size)
    return _torch_uniform(key, (num_gates * hidden_size,), hidden_size)


def init_gate_bias(
    key: jax.Array,
    gates: str,
    hidden_size: int,
    *,
    b: Bias,
    forget_bias: float | None = None,
    time_span: int | None = None,
) -> jax.Array:
    """The bias of gates "ifgo", "fgo" or "rz"; f and z are the ones that keep the old state.

    A time span T draws their bias as log U(1, T - 1), so that the times over which the state is
    forgotten cover 2 to T steps, and gives the input gate the opposite (Tallec and Ollivier, 2018).
    "torch" is the sum of torch's two biases.
    """
    if (b != "zeros") + (forget_bias is not None) + (time_span is not None) > 1:
        raise ValueError(
            "b, forget_bias and time_span all set the bias of the gates: choose one of them, got "
            f"b={b!r}, forget_bias={forget_bias} and time_span={time_span}."
        )
    for name, number in (("forget_bias", forget_bias), ("time_span", time_span)):
        if number is not None:
            check_number(name, number)
    if b != "zeros":
        first, second = jax.random.split(key)
        return init_bias(first, len(gates), hidden_size, b) + init_bias(
            second, len(gates), hidden_size, b
        )
    blocks = dict.fromkeys(gates, jnp.zeros(hidden_size))
    if time_span is not None:
        memories = _chrono(key, time_span, hidden_size)
        blocks |= {name: memories * sign for name, sign in _CHRONO_SIGNS.items() if name in gates}
    elif "f" in blocks:
        blocks["f"] = jnp.full(hidden_size, 1.0 if forget_bias is None else forget_bias)
    return jnp.concatenate(list(blocks.values()))


_CHRONO_SIGNS = {"f": 1, "z": 1, "i": -1}


def _chrono(key: jax.Array, time_span: int, hidden_size: int) -> jax.Array:
    if time_span <= 2:
        raise ValueError(f"time_span must be more than 2 steps, got {time_span}.")
    return jnp.log(jax.random.uniform(key, (hidden_size,), minval=1, maxval=time_span - 1))


def _as_function(
    initializer: Initializer, hidden_size: int
) -> Callable[[jax.Array, tuple[int, int]], jax.Array]:
    if callable(initializer):
        return initializer
    if initializer == "torch":
        return lambda key, shape: _torch_uniform(key, shape, hidden_size)
    check_choice("An initializer", initializer, (*INITIALIZERS, "torch"))
    return INITIALIZERS[initializer]


def _torch_uniform(key: jax.Array, shape: tuple[int, ...], hidden_size: int) -> jax.Array:
    bound = hidden_size**-0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
