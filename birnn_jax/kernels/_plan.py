"""The decisions that only a measurement can make, each with the measurement that made it.

The shapes are those of benchmarks/README.md, which says how to repeat them. What is not decided
here is decided once for all platforms: both directions in one loop, projection in the step.
"""

import jax

from .._chunks import near_divisor

# CPU: all of time at once overflows the cache, small chunks make thin products. LSTM, train, CPU
# time at 32,128,128,256 in milliseconds, for 256, 512, 1024, 4096 rows: 188, 172, 183, 183 with
# states kept; at 16,100,64,64 with gates kept, for 512 rows and all 1600: 7.9, 6.0.
_BYTES = 2**21  # of the gates of one chunk in one direction
_MIN_ROWS = 512

# CPU, with states kept: what a chunk needs counts in the peak memory, so it is an eighth of all.
_PARTS = 8
_MIN_ROWS_OF_PART = 128


def chunk_steps(num_steps: int, h: jax.Array, keep_gates: bool) -> int:
    """Steps of time that the derivative works on at once, for states `h` `[B, H]`."""
    if jax.default_backend() != "cpu" or num_steps == 0 or h.size == 0:
        return max(num_steps, 1)  # unmeasured: fewer and larger products suit GPU and TPU
    batch_size, hidden_size = h.shape
    if keep_gates:
        rows = max(_MIN_ROWS, _BYTES // (4 * hidden_size * h.dtype.itemsize))
    else:
        rows = max(_MIN_ROWS_OF_PART, num_steps * batch_size // _PARTS)
    return near_divisor(num_steps, max(1, rows // batch_size))
