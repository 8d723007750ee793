"""One candidate in a process of its own: `python -m benchmarks._worker CANDIDATE`.

Takes one JSON request a line on standard input, answers one line on standard output. Whatever
goes wrong ends the process; what it wrote to standard error is the reason that the driver gives.
"""

import gc
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _measure, _weights
from benchmarks._points import Point, from_row
from benchmarks.peers import CANDIDATES, Program, Unsupported

GEMM_SIZE = 2048


def main() -> None:
    """Serves requests until standard input is closed."""
    # Libraries print what they like: the answers get a way of their own.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve = _Server(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(serve, request.pop("do"))(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class _Server:
    def __init__(self, candidate: str) -> None:
        self.candidate = candidate
        self.program: Program | None = None
        self.repeats = 1

    def prepare(self, point: dict[str, Any], checked: dict[str, Any], reference: str) -> dict:
        """Compiles, compares with the reference, and says what is known before any timing.

        Results are those of `checked`: without the noise that every framework draws in its own way.
        """
        self.program = None
        gc.collect()
        where, alike = from_row(point), from_row(checked)
        inputs = _weights.make_inputs(where)
        try:
            program = _make_program(self.candidate, where, inputs)
            same = program if alike == where else _make_program(self.candidate, alike, inputs)
        except Unsupported as reason:
            return {"unsupported": str(reason)}
        precision = "int8" if CANDIDATES[self.candidate].is_int8 else where.precision
        with np.load(reference, allow_pickle=False) as want:
            errors = _weights.errors(
                *(alike, _weights.flatten(same.results()), dict(want)),
                lengths=inputs["lengths"],
                precision=precision,
            )
        peak = _measure.peak_bytes(program.call)
        self.repeats = _measure.choose_repeats(program.call)
        self.program = program
        return {"peak_bytes": peak, "errors": errors, "repeats": self.repeats, **program.facts}

    def sample(self) -> dict:
        """Seconds of one call, by the clock and of all processors.

        As in a training that runs: after another call, so that threads are awake, caches hold what
        they can, and the system has not taken away the memory that lay idle while others worked.
        """
        assert self.program is not None
        self.program.call()
        before = _measure.cpu_seconds()
        seconds = _measure.sample(self.program.call, self.repeats)
        return {"s": seconds, "cpu_s": (_measure.cpu_seconds() - before) / self.repeats}

    def compute_reference(self, point: dict[str, Any], path: str) -> dict:
        """The right results, in float64."""
        results = importlib.import_module("benchmarks._reference").compute(from_row(point))
        np.savez(Path(path), allow_pickle=False, **_weights.flatten(results))
        return {}

    def prepare_gemm(self) -> dict:
        """A product of two large matrices, as the measure of what the machine can do."""
        program = importlib.import_module("benchmarks._jax_program").make_gemm(GEMM_SIZE)
        self.repeats = _measure.choose_repeats(program.call)
        self.program = program
        return {"flops": 2 * GEMM_SIZE**3}


def _make_program(candidate: str, point: Point, inputs: dict) -> Program:
    module, settings, *_ = CANDIDATES[candidate]
    peer: Any = importlib.import_module(f"benchmarks.peers.{module}")
    if hasattr(peer, "make_program"):
        return peer.make_program(point, inputs, **settings)
    make: Callable = importlib.import_module("benchmarks._jax_program").make_program
    return make(point, inputs, peer.make_layer(point, **settings))


if __name__ == "__main__":
    main()
