"""Functions of trained models, compiled for commands that call them a few times."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from birnn_jax.training import quick_compilation

Function = Callable[..., Any]


def quick_jit(**options: Any) -> Callable[[Function], Function]:
    """`jax.jit` with the options of `quick_compilation`, which are asked for at the first call.

    Example:
      >>> @quick_jit(static_argnames="n")
      ... def repeated(x, n):
      ...     return jnp.repeat(x, n)
      >>> repeated(jnp.array([1, 2]), n=2).tolist()
      [1, 1, 2, 2]
    """

    def decorate(function: Function) -> Function:
        @functools.cache
        def compiled() -> Function:
            return jax.jit(function, compiler_options=quick_compilation() or None, **options)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            return compiled()(*args, **kwargs)

        return run

    return decorate
