"""Ctrl-C and polite kills: a request that the loop looks at between two steps."""

import os
import signal
from typing import Any

import jax
from jax.experimental import multihost_utils
from rich.console import Console


class Interruption:
    """Turns the first Ctrl-C, or the first polite kill, into a request.

    Of several processes each may be asked, and all stop after the same step: JAX hands SIGTERM on
    to the others, and Ctrl-C is made one.
    """

    def __init__(self, console: Console):
        """Says on the console what was understood."""
        self._requested = False
        self._console = console
        self._before: dict[int, Any] = {}
        self._together = jax.process_count() > 1

    def __enter__(self) -> "Interruption":
        """Listens; with several processes JAX listens to SIGTERM."""
        for number in [signal.SIGINT] if self._together else [signal.SIGINT, signal.SIGTERM]:
            self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *exception: object) -> None:
        """Leaves the signals as they were."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def is_due(self, step: int) -> bool:
        """Whether to save and stop after this step."""
        if self._together:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._requested

    def _request(self, number: int, frame: object) -> None:
        if self._requested:
            raise KeyboardInterrupt
        self._requested = True
        self._console.print("Finishing the step and saving. Interrupt once more to stop at once.")
        if self._together:
            os.kill(os.getpid(), signal.SIGTERM)
