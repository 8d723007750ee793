"""What a training leaves in its folder while it goes on: journals and checkpoints."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Self

from rich.console import Console

from birnn_jax.checkpoint import Checkpoints
from birnn_jax.training import JsonLines
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.progress import Display

_AGAIN = "Free some space, then resume with the same command."


class Recorder:
    """Writes for the first process. What a full disk refuses stays in memory till the next save."""

    def __init__(
        self,
        folder: RunFolder,
        checkpoints: Checkpoints,
        console: Console,
        *,
        done: int,
        total: int,
    ):
        """Cuts the journals back to the step from which the training goes on."""
        self._checkpoints, self._console = checkpoints, console
        path = folder.path / "metrics.jsonl"
        self._metrics, self._clock = JsonLines(path), JsonLines(folder.path / "clock.jsonl")
        for lines in (self._metrics, self._clock):
            lines.start(done, num_steps=total)
        self._display = Display(console, done=done, total=total)
        self.evaluations = [record for record in JsonLines.read(path) if record["split"] == "dev"]
        self._watch = _Watch()
        self._has_failed = False  # the last attempt
        self._last: tuple[Any, dict[str, Any], float | None] | None = None
        if done:
            console.print(f"{done} of {total} steps are done.", highlight=False)

    def __enter__(self) -> Self:
        """Shows the bar."""
        self._display.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        """Removes the bar and closes the files."""
        self._display.__exit__(*exception)
        self._metrics.close()
        self._clock.close()

    def record(self, step: int, means: Mapping[str, Any], tokens: float) -> None:
        """Notes a training step."""
        self._metrics.write(step, "train", means)
        self._display.step(means, tokens)

    def evaluated(self, step: int, means: Mapping[str, Any]) -> None:
        """Notes an evaluation."""
        self.evaluations.append({"step": step, "split": "dev", **means})
        self._metrics.write(step, "dev", means)
        self._display.line(f"step {step}, dev", means)

    def save(self, state: Any, batches: Any, score: float | None) -> None:
        """Saves everything while the next steps go on; says if the save before this has failed."""
        self._clock.add({"step": int(state.step), **self._watch.lap()})
        self._try(self._checkpoints.wait)
        self._last = state, {"batches": batches}, score
        self._has_failed = False
        self._try(self._save_last)

    def finish(self) -> None:
        """Returns once everything is saved.

        Raises:
          OSError: if it cannot be, also when tried once more.
        """
        self._try(self._checkpoints.wait)
        if not self._has_failed:
            return
        try:
            self._save_last()
            self._checkpoints.wait()
        except OSError as error:
            raise OSError(f"{error} {_AGAIN}") from error

    def _save_last(self) -> None:
        assert self._last is not None
        state, position, score = self._last
        self._metrics.sync()
        self._clock.sync()
        self._checkpoints.save(state, position=position, score=score)

    def _try(self, save: Callable[[], None]) -> None:
        try:
            save()
        except OSError as error:
            self._has_failed = True
            self._console.print(f"{error} It is tried again later.", highlight=False)


class _Watch:
    """Wall and processor time, lap by lap; that of the processor does not see what runs beside."""

    def __init__(self) -> None:
        self._started = time.monotonic(), time.process_time()

    def lap(self) -> dict[str, float]:
        now = time.monotonic(), time.process_time()
        wall, cpu = (round(end - start, 3) for end, start in zip(now, self._started, strict=True))
        self._started = now
        return {"seconds": wall, "cpu_seconds": cpu}
