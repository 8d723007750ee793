"""Compiles the library for GPUs and TPUs, on a machine that has none.

Needs Python alone: for each platform an environment is made, once, with the packages that pip
finds for it. What is recorded: kernels that a step starts, temporary memory, collectives, CPU
seconds of compiling. None of it is a time of execution, which only a device can tell.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from benchmarks.compilers import _environments, _limits, _programs, _targets

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "benchmarks/results/compilers.jsonl"
_ONE_THREAD = "--xla_gpu_force_compilation_parallelism=1"
_NOISE = re.compile(r"InitializeLog|cudart_stub|Could not find cuda drivers")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the status is 1 if a limit is passed or a program does not compile."""
    options = _parse(arguments)
    rows, missing = [], set()
    limits = _limits.read(options.against, times=options.times)
    for target in options.targets:
        platform = _targets.TARGETS[target].platform
        if platform in missing:
            continue
        python, why_not = _environments.find_python(options.environments, platform, options.jax)
        if python is None:
            print(f"{target} is left out. {why_not}", file=sys.stderr)
            missing.add(platform)
            continue
        against = options.against if options.times else Path(os.devnull)
        for row in _compile(python, target, options.suites, against):
            rows.append(row)
            print(_limits.describe(row), flush=True)
            if options.json:  # after each, so that a run may be broken off
                _write(options.json, rows)
    passed = [text for row in rows for text in _limits.find_passed(row, limits)]
    for text in passed:
        print(text, file=sys.stderr)
    print(f"{len(rows)} programs, {len(passed)} over a limit.")
    return int(bool(passed))


def _write(path: Path, rows: Sequence[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _compile(python: Path, target: str, suites: Sequence[str], against: Path) -> Iterator[dict]:
    """The rows of a target, each as soon as it is there; what ends a process is left out."""
    programs, done = _programs.of_suites(suites, _targets.TARGETS[target].platform), 0
    while done < len(programs):
        is_ready = False
        # What it says goes to a file: a pipe that nobody reads would fill up, and stop it.
        with tempfile.TemporaryDirectory() as dump, tempfile.TemporaryFile("w+") as said:
            words = [dump, target, str(against), str(done), *suites]
            with _start(python, words, said) as worker:
                assert worker.stdout is not None
                for row in map(json.loads, filter(lambda line: line[0] == "{", worker.stdout)):
                    if not row:  # the first one is empty: the compiler is there
                        is_ready = True
                        continue
                    done += 1
                    yield row
            if not worker.returncode:
                return
            said.seek(0)
            how = _how_it_ended(worker, said.read())
        ends_it = is_ready and done < len(programs)
        name = str(programs[done]) if ends_it else "all"
        yield {"target": target, "program": name, "error": how}
        if not ends_it:
            return
        done += 1


def _start(python: Path, words: Sequence[str], said: IO[str]) -> subprocess.Popen:
    dump = words[0]
    mosaic = {"MOSAIC_GPU_DUMP_PTXAS": "1", "MOSAIC_GPU_DUMP_TO": dump}
    # By one thread, on any machine: a program that is cut into more parts takes more CPU time.
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_dump_to={dump} {_ONE_THREAD}"
    environment = os.environ | _targets.ENVIRONMENT | mosaic | {"XLA_FLAGS": flags}
    return subprocess.Popen(
        [python, "-m", "benchmarks.compilers._worker", *words],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(_environments.metadata_of(python))},
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
    )


def _how_it_ended(worker: subprocess.Popen, said: str) -> str:
    """One line, without what XLA says of devices that are not there."""
    status = worker.returncode
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    lines = [line for line in said.splitlines() if line.strip() and not _NOISE.search(line)]
    return " ".join([f"The process that compiles ended with {how}.", *lines[-20:]])[-2000:]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compilers", description=__doc__)
    add = parser.add_argument
    targets, suites = [*_targets.TARGETS], [*_programs.SUITES]
    add(
        "--targets", nargs="+", choices=targets, default=["v5e", "h200", "mi300x"], metavar="TARGET"
    )
    add("--suites", nargs="+", choices=suites, default=suites, metavar="SUITE", help=str(suites))
    add("--json", type=Path, help="file for the rows, replaced")
    add("--against", type=Path, default=RECORDED, help="rows that are the limits")
    add("--no-times", dest="times", action="store_false", help="no limits of times of compiling")
    add("--environments", type=Path, default=ROOT, help="folder for the environments, .venv-aot-*")
    add("--jax", default="0.10.2", help="version of JAX in a new environment")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
