"""Why the kernels for Hopper GPUs cannot compute a layer."""

import jax
import jax.numpy as jnp

from ..._core.direction import Direction
from ...cells import ELMAN, GRU, LSTM
from ..launch_inputs import find_obstacle_of_sizes
from ..xla.rules import describe_needs, find_rule
from .plan import DoesNotFitError, plan_backward, plan_forward

_STEPS = (ELMAN.step, GRU.step, LSTM.step)
_CAPABILITY = "9.0"


def find_obstacle(directions: tuple[Direction, ...]) -> str | None:
    """To be read after the name of the backend; None if there is no obstacle."""
    if find_rule(directions) is None or directions[0].cell.step not in _STEPS:
        return describe_needs("ELMAN, GRU and LSTM", directions)
    dtype = directions[0].xs.dtype
    if dtype not in (jnp.float32, jnp.bfloat16):
        return f"takes float32 and bfloat16, got {dtype}."
    if (obstacle := find_obstacle_of_sizes(directions)) is not None:
        return obstacle
    hidden_size, columns = directions[0].carry.h.shape[-1], directions[0].params.b.shape[-1]
    try:
        for make_plan in (plan_forward, plan_backward):
            make_plan(hidden_size, columns // hidden_size, dtype)
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
