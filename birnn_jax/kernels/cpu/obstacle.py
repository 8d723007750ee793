"""Why the native CPU kernels cannot compute a layer."""

import jax.numpy as jnp

from ..._core.direction import Direction
from ..._core.dtypes import sum_dtype
from ..target import get_target
from ..xla.rules import describe_needs
from . import library
from .cells import find_native_cell, has_native_dtypes
from .linear import are_linear


def _is_linear(directions: tuple[Direction, ...]) -> bool:
    return are_linear(directions) and all(map(has_native_dtypes, directions))


def find_obstacle(directions: tuple[Direction, ...]) -> str | None:
    """To be read after the name of the backend; None if there is no obstacle."""
    if find_native_cell(directions) is None and not _is_linear(directions):
        cells = "ELMAN, INDRNN, GRU, LSTM and their variants, and cells linear in their state"
        return describe_needs(cells, directions)
    inputs = [direction.xs for direction in directions]
    # As in a program that `jax.export` writes for any batch, which cannot hold native code.
    if not all(isinstance(size, int) for xs in inputs for size in xs.shape):
        return f"needs sizes that are numbers, got {inputs[0].shape}."
    if get_target() != "cpu":
        return f"computes on CPUs, but the default device is a {get_target()!r}."
    if not library.is_registered():
        return f"is not there. {library.load().note}"
    if sum_dtype(inputs[0].dtype) == jnp.float64 and not library.has_float64():
        return "computes in float64 only on processors with AVX2."
    return None
