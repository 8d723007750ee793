"""Why the kernels for TPUs cannot compute a layer."""

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import sum_dtype
from ..launch_inputs import find_obstacle_of_sizes
from ..moving import parts_of, split_directions
from ..operation import Operands
from ..xla.rules import find_need_of_a_rule
from . import layer


def find_obstacle(directions: tuple[Direction, ...]) -> str | None:
    """To be read after the name of the backend; None if there is no obstacle."""
    if (obstacle := find_need_of_a_rule(directions)) is not None:
        return obstacle
    dtype = directions[0].xs.dtype
    if sum_dtype(dtype) != jnp.float32:
        return f"takes float32, bfloat16 and float16, got {dtype}."
    return find_obstacle_of_sizes(directions) or _find_lack_of_memory(directions)


def _find_lack_of_memory(directions: tuple[Direction, ...]) -> str | None:
    """By tracing both loops, which know what they hold."""
    from .time_loop import DoesNotFitError

    wanted = tuple(jax.tree.map(lambda leaf: True, parts_of(d)) for d in directions)

    def run(directions: tuple[Direction, ...]) -> Operands:
        shared, rows, *_ = split_directions(directions)
        results, stored = layer.LAUNCHES.forward(True, Operands(shared, rows)).rows
        operands = Operands(shared, (rows, results[1], stored), d_rows=results)
        return layer.LAUNCHES.backward((False, wanted), operands)

    try:
        jax.eval_shape(run, directions)
    except DoesNotFitError as error:
        return str(error)
    return None
