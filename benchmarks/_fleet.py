"""The processes of a run, one a candidate; only one of them ever works."""

import collections
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import CANDIDATES

ROOT = Path(__file__).parent.parent


class Failed(Exception):
    """A process ended; the message is the end of what it wrote."""


@contextlib.contextmanager
def _bound_to(processors: Sequence[int]) -> Iterator[None]:
    """What is started here inherits the processors: XLA and OpenMP count those they may use."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Worker:
    """One process, which is asked and answers."""

    def __init__(self, candidate: str, processors: Sequence[int]) -> None:
        self.log = tempfile.TemporaryFile("w+")
        candidate_env = CANDIDATES[candidate].environment if candidate in CANDIDATES else {}
        threads = {"OMP_NUM_THREADS": str(len(processors)), "MKL_NUM_THREADS": str(len(processors))}
        with _bound_to(processors):
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks._worker", candidate],
                cwd=ROOT,
                env=os.environ | threads | candidate_env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.log,
                text=True,
            )

    def ask(self, do: str, **request: Any) -> dict:
        """One request, one answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        if self.process.poll() is None:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.log.seek(0)
            raise Failed("\n".join(self.log.read().strip().splitlines()[-3:]))
        return json.loads(line)

    def stop(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.communicate()
        self.log.close()


class Fleet:
    """Workers by candidate, started when first asked for, and again after they failed."""

    def __init__(self, num_threads: int) -> None:
        self.processors = sorted(os.sched_getaffinity(0))[:num_threads]
        self.workers: dict[str, Worker] = {}
        self.failures: collections.Counter[str] = collections.Counter()

    def __enter__(self) -> "Fleet":
        return self

    def __exit__(self, *exception: object) -> None:
        for worker in self.workers.values():
            worker.stop()

    def ask(self, candidate: str, do: str, **request: Any) -> dict:
        """Asks the worker of a candidate; raises Failed if it ends."""
        if candidate not in self.workers:
            self.workers[candidate] = Worker(candidate, self.processors)
        try:
            return self.workers[candidate].ask(do, **request)
        except Failed:
            self.workers.pop(candidate).stop()
            raise
