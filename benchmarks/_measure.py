"""The only file with a clock."""

import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

MIN_SAMPLE_S = 0.005
SETTLE_S = 0.005

T = TypeVar("T")


def timed(function: Callable[..., T], *args) -> tuple[float, T]:
    """Seconds, and what came back."""
    start = time.perf_counter()
    result = function(*args)
    return time.perf_counter() - start, result


def deadline(seconds: float) -> Callable[[], bool]:
    """A function that says whether so many seconds have passed since now."""
    start = time.perf_counter()
    return lambda: time.perf_counter() - start > seconds


def choose_repeats(call: Callable[[], object]) -> int:
    """Calls in one sample, so that it does not drown in the resolution of anything."""
    seconds = min(timed(call)[0] for _ in range(3))
    return max(1, round(MIN_SAMPLE_S / max(seconds, 1e-9)))


def sample(call: Callable[[], object], repeats: int) -> float:
    """Seconds of one call; `call` waits for its own results."""

    def run() -> None:
        for _ in range(repeats):
            call()

    return timed(run)[0] / repeats


def settle() -> None:
    """Lets the threads of the one who worked last stop spinning."""
    time.sleep(SETTLE_S)


def peak_bytes(call: Callable[[], object]) -> int | None:
    """How far the memory of this process rises during one call; None where Linux cannot tell."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    try:
        clear.write_text("5")  # resets the peak
    except OSError:
        return None

    def field(name: str) -> int:
        (line,) = [line for line in status.read_text().splitlines() if line.startswith(name)]
        return 1024 * int(line.split()[1])

    before = field("VmRSS")
    call()
    return max(0, field("VmHWM") - before)


def cpu_seconds() -> float:
    """Time that this process has spent on all its processors."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
