"""Why the kernels for Hopper GPUs cannot compute a layer."""

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ...cells import ELMAN, GRU, LSTM
from ..xla.rules import find_rule
from .plan import DoesNotFitError, plan_backward, plan_forward

_STEPS = (ELMAN.step, GRU.step, LSTM.step)
_CAPABILITY = "9.0"


def find_obstacle(directions: tuple[Direction, ...]) -> str | None:
    """To be read after the name of the backend; None if there is no obstacle."""
    if find_rule(directions) is None or directions[0].cell.step not in _STEPS:
        return (
            "computes ELMAN, GRU and LSTM, the same cell in both directions, in one dtype; this "
            "layer is another."
        )
    xs = directions[0].xs
    if not all(isinstance(size, int) for size in xs.shape):
        return f"needs sizes that are numbers, got {xs.shape}."
    if 0 in xs.shape:
        return f"needs at least one row, one step and one feature, got xs of shape {xs.shape}."
    if xs.dtype not in (jnp.float32, jnp.bfloat16):
        return f"takes float32 and bfloat16, got {xs.dtype}."
    shapes = {
        tuple(leaf.shape for leaf in jax.tree.leaves((direction.params, direction.carry)))
        for direction in directions
    }
    if len(shapes) > 1:
        return "computes two directions of one size, got two sizes."
    hidden_size, columns = directions[0].carry.h.shape[-1], directions[0].params.b.shape[-1]
    if directions[0].params.w_h.shape[0] != hidden_size:
        return "computes cells of one head, got several."
    try:
        for make_plan in (plan_forward, plan_backward):
            make_plan(hidden_size, columns // hidden_size, xs.dtype)
    except DoesNotFitError as error:
        return str(error)
    return find_other_device()


def find_other_device() -> str | None:
    """Why the GPUs of this process, if it has any, cannot run the kernels."""
    if jax.default_backend() != "gpu":
        return None  # where the program may be compiled for another machine
    found = {getattr(device, "compute_capability", "none") for device in jax.local_devices()}
    if found == {_CAPABILITY}:
        return None
    others = ", ".join(sorted(found))
    return f"needs GPUs of compute capability {_CAPABILITY} (Hopper), got {others}."
