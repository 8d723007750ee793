"""Hidden sizes that give every cell the same number of parameters."""

import math
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
    """The size whose number of parameters is nearest to `target`.

    Args:
      parameters: of a size; a polynomial of second degree, as those of every cell are.
      target: number of parameters.

    Raises:
      ValueError: if the smallest size has more than twice the target.

    Example:
      >>> solve_size(lambda size: size**2, 20)
      4
    """
    one, two, three = (parameters(size) for size in (1, 2, 3))
    if one > 2 * target:
        raise ValueError(
            f"One hidden unit has {one} parameters already, more than {target} allow; give more."
        )
    a = (three - 2 * two + one) / 2
    b = two - one - 3 * a
    c = one - a - b
    under_root = max(0.0, b * b + 4 * a * (target - c))
    exact = (target - c) / b if a == 0 else (math.sqrt(under_root) - b) / (2 * a)
    sizes = [max(1, math.floor(exact)), max(1, math.ceil(exact))]
    return min(sizes, key=lambda size: abs(a * size**2 + b * size + c - target))
