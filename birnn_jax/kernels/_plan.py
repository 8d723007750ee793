"""The decisions that only a measurement can make, each with the measurement that made it.

Ratios are of CPU time or wall time inside one run; how to repeat them: benchmarks/README.md.
"""

import jax

from .._chunks import near_divisor

# CPU, 2 cores: chunks of 512 rows against all of time at once, LSTM, train, S1 172 against 183 ms
_CHUNK_BYTES = 2**21
_CHUNK_ROWS = 512


def chunk_steps(num_steps: int, h: jax.Array) -> int:
    """Steps of time that the derivative works on at once, for states `h` `[B, H]`."""
    if jax.default_backend() != "cpu" or num_steps == 0:
        return max(num_steps, 1)  # unmeasured: fewer and larger products suit GPU and TPU
    batch_size, hidden_size = h.shape
    rows = max(_CHUNK_ROWS, _CHUNK_BYTES // (4 * hidden_size * h.dtype.itemsize))
    return near_divisor(num_steps, max(1, rows // max(1, batch_size)))
