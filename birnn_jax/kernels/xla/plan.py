"""The decisions that only a measurement can make, in one place, with what made them.

docs/development/kernels.md has the measurements and how to repeat them. The plan is that of the
platform which a program is lowered for (`target.py`), wherever the function was traced. Only what a
forward pass stores, and the plan of derivatives of second order, is decided while a function is
traced, by the default device; gradients do not read what the plan of their platform computes again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from ..._core.chunks import near_divisor
from ..._core.direction import Direction
from ...cells._noise import remove_noise
from ..target import get_target


class Recompute(NamedTuple):
    """Where activations are computed again for the gradient, in place of being stored."""

    bytes: int  # from so many on, of activations and carries of every step
    features: int  # up to so many, of input and state together: that is what it costs


class Plan(NamedTuple):
    """How a layer runs on one platform. No setting changes what it computes."""

    stacked: bool  # both directions in one batch of products, or two chains in one loop
    block: int  # steps in one iteration of the loop
    hoisted: bool  # x w_x of a block in one product before its steps, or [x, h] [w_x; w_h] in each
    unroll: int  # steps in a row, without a loop: of a block, and of the derivative
    # Steps of the derivative at once, `(num_steps, h, keep_gates) -> steps`; None is all of them.
    chunk: Callable[[int, jax.Array, bool], int] | None
    turned: bool  # one side of a product that gives gradients of weights is stored turned
    # Whether the layouts of some steps are named, in the order of time and in that of a direction:
    # so they are turned over by themselves, not with all the others.
    in_order: tuple[bool, bool]
    apart: int  # rows up to which each direction has a loop of its own, if nothing is stored
    parallel: bool  # cells of `parallel` over all of time at once, or step by step
    recompute: Recompute | None  # None is nowhere


# With gates stored: the gates of one chunk and direction, in bytes, and at least so many rows. LSTM
# at 32,128,128,256 for 256, 512, 1024 rows: 188, 172, 183; at 16,100,64,64 for 512 and 1600 rows:
# 7.9, 6.0 (milliseconds of CPU, train).
_BYTES, _MIN_ROWS = 2**21, 512
# With states stored the arrays of a chunk count in the peak memory: an eighth of all rows.
_PARTS, _MIN_ROWS_OF_PART = 8, 128


def _chunk_in_cache(num_steps: int, h: jax.Array, keep_gates: bool) -> int:
    batch_size, hidden_size = h.shape
    if keep_gates:
        rows = max(_MIN_ROWS, _BYTES // (4 * hidden_size * h.dtype.itemsize))
    else:
        rows = max(_MIN_ROWS_OF_PART, num_steps * batch_size // _PARTS)
    return rows // batch_size


def _chunk_of_a_quarter(num_steps: int, h: jax.Array, keep_gates: bool) -> int:
    """A chunk starts kernels of its own, beside those of its steps."""
    del h, keep_gates
    return max(16, num_steps // 4)


def _chunk_of_few_rows(num_steps: int, h: jax.Array, keep_gates: bool) -> int:
    """The compiler for TPUs takes longer for larger products."""
    del num_steps, keep_gates
    return 256 // len(h)


PLANS = {
    # JAX 0.10.2, 2 cores with AVX-512. A batch of two products is as fast as two, and forward too,
    # but LSTM training then has 0.94 of the speed (0.84 to 1.07 by shape). Hoisting lost at every
    # shape (0.48 to 0.95 of the speed). Unrolling won nothing, up to 32 steps.
    # All of time at once overflows the cache, LSTM at 32,128,128,256: 183 against 172 ms of CPU.
    # XLA runs a body of at most 8 kernels without its scheduler: at one row that is worth more than
    # two directions at once. Forward at 1,100,64,64, Elman 0.09 against 0.14 ms, GRU 0.27 against
    # 0.30; the step of the LSTM has 9 kernels, and takes 0.40 against 0.34.
    # Much memory is taken from the system anew in every execution, page by page. LSTM train, stored
    # against computed again: 128 against 107 at 32,128,128,256 (48 MiB), 55 against 40 at
    # 32,128,128,128 (24 MiB), but 14.7 against 16.8 at 16,100,128,128 (9 MiB), and 180 against 195
    # at 64,100,256,256; GRU 62 against 52 at 24,128,128,256 (30 MiB), 29 against 37 (20 MiB).
    "cpu": Plan(
        stacked=False,
        block=1,
        hoisted=False,
        unroll=1,
        chunk=_chunk_in_cache,
        turned=True,
        in_order=(False, False),
        apart=1,
        parallel=False,
        recompute=Recompute(bytes=18 * 2**20, features=400),
    ),
    # Unmeasured. A kernel launch costs more than its work: stacking halves their number, and a
    # body of five kernels or more becomes a CUDA graph. To store gates takes kernels, too: 0.4 more
    # a step than to compute them again in one product. docs/development/kernels.md has the counts.
    "gpu": Plan(
        stacked=True,
        block=16,
        hoisted=True,
        unroll=16,
        chunk=_chunk_of_a_quarter,
        turned=False,
        in_order=(True, False),
        apart=0,
        parallel=True,
        recompute=Recompute(bytes=0, features=2048),
    ),
    # Unmeasured.
    "tpu": Plan(
        stacked=True,
        block=16,
        hoisted=True,
        unroll=1,
        chunk=_chunk_of_few_rows,
        turned=False,
        in_order=(True, True),
        apart=0,
        parallel=True,
        recompute=None,
    ),
}


def get_plan() -> Plan:
    """The plan of the platform that the program is for."""
    return PLANS.get(get_target(), PLANS["gpu"])


def keeps_gates(directions: tuple[Direction, ...]) -> bool:
    """True if activations are stored for the gradient where nothing else is asked for."""
    return is_below(get_plan().recompute, directions)


def is_below(recompute: Recompute | None, directions: tuple[Direction, ...]) -> bool:
    """True if a layer is not large enough to compute activations again, or too wide for it."""
    sizes = [size for direction in directions for size in direction.xs.shape]
    if recompute is None or not all(isinstance(size, int) for size in sizes):
        return True
    stored = features = 0
    for direction in directions:
        batch_size, num_steps, input_size = direction.xs.shape
        h, columns = remove_noise(direction.carry).h, direction.params.b.shape[-1]
        hidden_size, itemsize = h.shape[-1], h.dtype.itemsize
        stored += batch_size * num_steps * (columns + 2 * hidden_size) * itemsize
        features = max(features, input_size + hidden_size)
    return stored < recompute.bytes or features > recompute.features


def are_apart(carry: Any) -> bool:
    """True if each direction has a loop of its own, for a carry of leaves `[B, H]`."""
    rows = carry.h.shape[0]
    known = isinstance(rows, int)  # and not a symbol, as in an export for any number of rows
    return len(carry) == 1 and known and rows <= get_plan().apart


def block_steps(num_steps: int) -> int:
    """Steps in one iteration of the loop."""
    if not isinstance(num_steps, int):  # a symbol, as in an export for any number of steps
        return 1
    return near_divisor(num_steps, get_plan().block)


def unrolled_steps(num_steps: int) -> int:
    """Of so many steps in a loop, those in one iteration."""
    if not isinstance(num_steps, int):
        return 1
    return near_divisor(num_steps, get_plan().unroll)


def chunk_steps(num_steps: int, h: jax.Array, keep_gates: bool) -> int:
    """Steps of time that the derivative works on at once, for states `h` `[B, H]`."""
    if not all(isinstance(size, int) for size in (num_steps, *h.shape)):
        return num_steps  # a symbol, as in an export for any number of rows or steps
    chunk = get_plan().chunk
    if chunk is None or num_steps == 0 or h.size == 0:
        return max(num_steps, 1)
    return near_divisor(num_steps, max(1, chunk(num_steps, h, keep_gates)))
