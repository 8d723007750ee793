"""The latency of a stream: what a sound waits for, and how long a chunk is computed."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Delay(NamedTuple):
    """Seconds that a sound waits before its label can be known, apart from computing."""

    chunk: float
    lookahead: float
    features: float  # the frame, and the frames ahead for differences

    @property
    def total(self) -> float:
        """All together."""
        return self.chunk + self.lookahead + self.features


def latency_of(delay: Delay, spent: Sequence[float], seconds: float) -> dict[str, float]:
    """The latency of a stream, in milliseconds, and its real-time factor.

    Args:
      delay: what a sound waits for.
      spent: seconds that each step was computed.
      seconds: of sound.

    Example:
      >>> latency = latency_of(Delay(0.3, 0.1, 0.05), [0.01, 0.02, 0.06], seconds=3.0)
      >>> latency["wait_ms"], latency["compute_ms"], latency["longest_compute_ms"]
      (450.0, 20.0, 60.0)
      >>> latency["real_time_factor"]
      0.03
    """
    return {
        "wait_ms": round(1000 * delay.total, 1),
        "chunk_ms": round(1000 * delay.chunk, 1),
        "lookahead_ms": round(1000 * delay.lookahead, 1),
        "features_ms": round(1000 * delay.features, 1),
        "compute_ms": round(1000 * statistics.median(spent), 2),
        "longest_compute_ms": round(1000 * max(spent), 2),
        "real_time_factor": round(sum(spent) / seconds, 4),
    }


def sentence_of(latency: Mapping[str, float]) -> str:
    """What `latency_of` says, in words."""
    return (
        "A sound is transcribed after at most {wait_ms:.0f} ms: chunk {chunk_ms:.0f}, look-ahead "
        "{lookahead_ms:.0f}, features {features_ms:.0f}. A chunk takes {compute_ms:.1f} ms to "
        "compute, at most {longest_compute_ms:.1f}; real-time factor {real_time_factor:.3f}."
    ).format(**latency)
