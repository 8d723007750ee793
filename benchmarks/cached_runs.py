"""What a training takes with compiled programs kept: `python -m benchmarks.cached_runs --help`.

Three runs of one command, each in a process of its own: without the cache of compiled programs,
with an empty one, and with the one that the second run filled. All must have the same metrics.
"""

import argparse
import json
import os
import resource
import runpy
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_COUNTED = "--counted"
_COMPILED = "/jax/core/compile/backend_compile_duration"  # also of a program that is found
_FOUND = "/jax/compilation_cache/cache_hits"
RUNS = ("no cache", "empty cache", "full cache")


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a row for each run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cached_runs",
        description="Measure a training without a cache of compiled programs, with an empty one "
        "and with a full one.",
    )
    parser.add_argument(
        "--command",
        default="experiments.pos_tagging train",
        help="module and arguments; --run and a new folder are put behind them",
    )
    options = parser.parse_args(argv)
    print("run: wall seconds, CPU seconds, programs compiled, programs found", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, row in zip(RUNS, measure(options.command.split(), Path(folder)), strict=True):
            numbers = [f"{row[key]:.1f}" for key in ("wall_s", "cpu_s")]
            numbers += [str(row[key]) for key in ("compiled", "found")]
            print(f"{name}: {', '.join(numbers)}", flush=True)


def measure(command: Sequence[str], folder: Path) -> Iterator[dict[str, Any]]:
    """Seconds and numbers of programs of each run, as soon as it has ended.

    Raises:
      RuntimeError: if a run fails, or its metrics are others than those of the first.
    """
    metrics = []
    for number, name in enumerate(RUNS):
        run, answer = folder / f"run_{number}", folder / f"{number}.json"
        words = [sys.executable, "-m", "benchmarks.cached_runs", _COUNTED, str(answer), *command]
        environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
        environment["JAX_ENABLE_COMPILATION_CACHE"] = str(number > 0).lower()
        start = time.perf_counter()
        done = subprocess.run(
            [*words, "--run", str(run)], env=environment, capture_output=True, text=True
        )
        wall = time.perf_counter() - start
        if done.returncode:
            raise RuntimeError(f"The run with {name} failed: {done.stderr}")
        metrics.append((run / "metrics.jsonl").read_bytes())
        if metrics[-1] != metrics[0]:
            raise RuntimeError(f"The run with {name} has other metrics than that without a cache.")
        yield {"wall_s": wall, **json.loads(answer.read_text())}


def count(answer: Path, module: str, *arguments: str) -> None:
    """Runs a module in this process, and writes what it took to a file."""
    import jax

    events: Counter[str] = Counter()

    def note(event: str, *_: Any, **__: Any) -> None:
        events[event] += 1

    jax.monitoring.register_event_listener(note)
    jax.monitoring.register_event_duration_secs_listener(note)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    used = resource.getrusage(resource.RUSAGE_SELF)
    row = {
        "cpu_s": used.ru_utime + used.ru_stime,
        "compiled": events[_COMPILED] - events[_FOUND],
        "found": events[_FOUND],
    }
    answer.write_text(json.dumps(row))


if __name__ == "__main__":
    if sys.argv[1:2] == [_COUNTED]:
        count(Path(sys.argv[2]), *sys.argv[3:])
    else:
        main()
