"""Hidden sizes that give every cell the same number of parameters."""

from collections.abc import Callable
from typing import Any

import jax


def count(init: Callable[[jax.Array], Any]) -> int:
    """The parameters that `init` makes from a key, without making them.

    Example:
      >>> count(lambda key: LSTM.init(key, 3, 4))
      128
    """
    return sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(init, jax.random.key(0))))


def solve_size(parameters: Callable[[int], int], target: int) -> int:
    """The size whose number of parameters is nearest to `target`, the smaller of two such.

    Args:
      parameters: of a size; grows with it.
      target: number of parameters.

    Raises:
      ValueError: if the smallest size has more than twice the target.

    Example:
      >>> solve_size(lambda size: size**2, 20)
      4
    """
    if parameters(1) > 2 * target:
        raise ValueError(
            f"One hidden unit has {parameters(1)} parameters already, more than {target} allow; "
            "give more."
        )
    high = 1
    while parameters(high) < target:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) < target else (low, middle)
    return min(
        (size for size in (low, high) if size > 0), key=lambda n: abs(parameters(n) - target)
    )
