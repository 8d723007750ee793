"""What a run shows while it goes on: a bar, and one line an evaluation."""

import functools
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_UPDATE_SECONDS = 0.2


class Display:
    """A progress bar over steps. Where there is no terminal, only the lines are printed."""

    def __init__(self, console: Console, *, done: int, total: int):
        """`done` steps out of `total` lie behind."""
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            disable=not console.is_terminal,
            expand=True,
            transient=True,
        )
        self._console = console
        self._task = self._bar.add_task("", total=total, completed=done, metrics="compiling")
        self._shown = time.monotonic()
        self._tokens = 0.0

    def __enter__(self) -> "Display":
        """Shows the bar."""
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Removes the bar."""
        self._bar.stop()

    def step(self, metrics: Mapping[str, float], tokens: float) -> None:
        """Advances by one step in which the model read so many tokens."""
        self._tokens += tokens
        self._bar.advance(self._task)
        now = time.monotonic()
        if now - self._shown > _UPDATE_SECONDS:
            text = f"{_words(metrics)}, {self._tokens / (now - self._shown):,.0f} tokens/s"
            self._bar.update(self._task, metrics=text)
            self._shown, self._tokens = now, 0.0

    def line(self, text: str, metrics: Mapping[str, float]) -> None:
        """Prints a line that stays."""
        self._console.print(f"{text}: {_words(metrics)}", highlight=False)


def printer(console: Console) -> Callable[[str], None]:
    """What prints a sentence as it is, paths in it too."""
    return functools.partial(console.print, highlight=False, markup=False, soft_wrap=True)


def _words(metrics: Mapping[str, float]) -> str:
    shown = {
        "loss": "loss {:.3f}",
        "accuracy": "accuracy {:.2%}",
        "f1": "F1 {:.2%}",
        "mae": "MAE {:.4f}",
    }
    return ", ".join(shown[name].format(metrics[name]) for name in shown if name in metrics)
