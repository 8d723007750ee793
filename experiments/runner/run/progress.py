"""What a run shows while it goes on: a bar, and one line an evaluation."""

import functools
import time
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

_UPDATE_SECONDS = 0.2


class _Metrics(ProgressColumn):
    """The metrics of the last step, on one line, cut off where there is no room."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["metrics"], no_wrap=True, overflow="ellipsis")


class Display:
    """A progress bar over steps. Where there is no terminal, only the lines are printed."""

    def __init__(self, console: Console, *, done: int, total: int):
        """`done` steps out of `total` lie behind."""
        self._bar = Progress(
            # In a narrow terminal the bar gives way, then the metrics, never what must not wrap.
            TextColumn("step", table_column=Column(no_wrap=True)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            _Metrics(),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            TextColumn("left", table_column=Column(no_wrap=True)),
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
