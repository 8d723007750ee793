"""Why the kernels for TPUs cannot compute a layer."""

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import sum_dtype
from ..moving import parts_of, split_directions
from ..operation import Operands
from ..xla.rules import NEEDS_A_RULE, find_rule
from . import layer


def find_obstacle(directions: tuple[Direction, ...]) -> str | None:
    """To be read after the name of the backend; None if there is no obstacle."""
    if find_rule(directions) is None:
        return NEEDS_A_RULE
    xs = directions[0].xs
    if not all(isinstance(size, int) for size in xs.shape):
        return f"needs sizes that are numbers, got {xs.shape}."
    if 0 in xs.shape:
        return f"needs at least one row, one step and one feature, got xs of shape {xs.shape}."
    if sum_dtype(xs.dtype) != jnp.float32:
        return f"takes float32, bfloat16 and float16, got {xs.dtype}."
    shapes = {
        tuple(leaf.shape for leaf in jax.tree.leaves((direction.params, direction.carry)))
        for direction in directions
    }
    if len(shapes) > 1:
        return "computes two directions of one size, got two sizes."
    hidden_size = directions[0].carry.h.shape[-1]
    if directions[0].params.w_h.shape[0] != hidden_size:
        return "computes cells of one head, got several."
    return _find_lack_of_memory(directions)


def _find_lack_of_memory(directions: tuple[Direction, ...]) -> str | None:
    """By tracing both loops, which know what they hold."""
    from .time_loop import DoesNotFitError

    wanted = tuple(jax.tree.map(lambda leaf: True, parts_of(d)) for d in directions)

    def run(directions: tuple[Direction, ...]) -> Operands:
        shared, rows, *_ = split_directions(directions)
        results, stored = layer.LAUNCHES.forward(True, Operands(shared, rows)).rows
        operands = Operands(shared, (rows, results[1], stored), d_rows=results)
        return layer.LAUNCHES.backward(wanted, operands)

    try:
        jax.eval_shape(run, directions)
    except DoesNotFitError as error:
        return str(error)
    return None
