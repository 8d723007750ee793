"""What trained models say of new data: read first, predicted in batches, written in order.

A command says what one thing is, and with a `Predictor` what the model makes of several of them
and how each answer is written, as text and as a JSON record. All else is here: arguments, a file or
standard input, JSON lines, and a progress bar that never gets into what is written.
"""

import contextlib
import json
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from experiments.runner.data.lines import Line, read_lines
from experiments.runner.data.reading import Reading
from experiments.runner.run.commands import FileEncoding, RunCommand
from experiments.runner.run.options import Words

Item = TypeVar("Item")
Found = TypeVar("Found")

AsJson = Annotated[bool, tyro.conf.FlagCreatePairsOff]


class Predictor(NamedTuple, Generic[Item, Found]):
    """What an experiment says of its predictions."""

    predict: Callable[[Sequence[Item]], Sequence[Found]]
    text: Callable[[Item, Found], str]
    record: Callable[[Item, Found], Mapping[str, Any]]
    at_once: int = 1024  # items; of more there is a progress bar


class PredictCommand(RunCommand):
    """Prints what a trained model says of each thing that it is given, in order."""

    json: AsJson = False
    """Print JSON lines: one object per answer."""

    def write(self, items: Sequence[Item], predictor: Predictor[Item, Found]) -> None:
        """Predicts, and prints each answer."""
        for some in self.answers(items, predictor, is_printed=True):
            print("\n".join(some), flush=True)

    def answers(
        self, items: Sequence[Item], predictor: Predictor[Item, Found], *, is_printed: bool
    ) -> Iterator[list[str]]:
        """Each answer as it is written, some at a time; `is_printed` says where they go."""
        with _progress(len(items), predictor.at_once, is_printed) as advance:
            for start in range(0, len(items), predictor.at_once):
                some = items[start : start + predictor.at_once]
                pairs = zip(some, predictor.predict(some), strict=True)
                if self.json:
                    yield [json_line(predictor.record(*pair)) for pair in pairs]
                else:
                    yield [predictor.text(*pair) for pair in pairs]
                advance(len(some))


class PredictTexts(PredictCommand):
    """Prints what a trained model says of texts: arguments, or lines of a file."""

    what: ClassVar[str] = "text"
    blank: ClassVar[bool] = False  # whether white space alone is a text

    texts: Annotated[Words, tyro.conf.Positional] = ()
    """Texts, each in quotes. Without texts and --file, the lines of standard input are read."""
    file: pathlib.Path | None = None
    """File of texts, one per line, plain or .gz; - is standard input."""
    encoding: FileEncoding = None

    def lines(self, reading: Callable[[str | None], Reading]) -> list[Line]:
        """The texts; `reading` says how those of a run are read, by the encoding given."""
        is_file = self.file is not None and str(self.file) != "-"
        used = reading(self.encoding if is_file else self.encoding or "utf-8")
        lines = read_lines(self.texts, self.file, used, what=self.what, blank=self.blank)
        used.tell()
        return lines


def json_line(record: Mapping[str, Any]) -> str:
    """A record as JSON on one line.

    Example:
      >>> json_line({"text": "né", "probability": 0.5})
      '{"text": "né", "probability": 0.5}'
    """
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


@contextlib.contextmanager
def _progress(total: int, at_once: int, is_printed: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, where answers go elsewhere and there are more than few."""
    console = Console(stderr=True)
    is_free = console.is_terminal and not (is_printed and sys.stdout.isatty())
    shown = total > at_once and is_free
    with Progress(
        MofNCompleteColumn(),
        BarColumn(bar_width=None),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
        disable=not shown,
        expand=True,
        transient=True,
        redirect_stdout=False,
    ) as bar:
        task = bar.add_task("", total=total)
        yield lambda number: bar.advance(task, number)
