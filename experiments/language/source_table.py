"""The table that this project starts from: its rows, its numbers, and ours beside them."""

import dataclasses
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.language.config import LanguageConfig
from experiments.language.findings import perplexity_by_epoch
from experiments.language.pictures import plot_curves_and_points
from experiments.runner.folder import RunFolder
from experiments.runner.results import read_result

EPOCHS = (40, 80, 120, 160)
_SCRATCH = {"method": "sgd", "learning_rate": 100.0, "init": "normal"}


@dataclasses.dataclass(frozen=True)
class Row:
    """A row: how it is trained, and its perplexities of training after `EPOCHS`."""

    title: str
    published: tuple[float | None, ...]
    settings: Mapping[str, Any]


ROWS = {
    "gru_scratch": Row(
        "GRU from scratch", (149.27, None, None, 1.427), {"cell": "gru", **_SCRATCH}
    ),
    "gru": Row("GRU, library layer", (1.016, 1.011, 1.011, 1.058), {"cell": "gru"}),
    "lstm_scratch": Row(
        "LSTM from scratch", (211.46, 68.46, 15.03, 3.897), {"cell": "lstm", **_SCRATCH}
    ),
    "lstm": Row("LSTM, library layer", (1.020, 1.013, 1.010, 1.009), {"cell": "lstm"}),
    "lstm_2": Row("LSTM, 2 layers", (12.84, 1.248, 1.022, 1.016), {"cell": "lstm", "layers": 2}),
    "lstm_6": Row("LSTM, 6 layers", (276.8, 276.3, 276.1, 275.7), {"cell": "lstm", "layers": 6}),
    "gru_both": Row(
        "bidirectional GRU, hidden 128",
        (1.0017, 1.0005, 1.0003, 1.0002),
        {"cell": "gru", "direction": "both", "hidden_size": 128},
    ),
}


def row_config(row: str, text: pathlib.Path, *, epochs: int, seed: int) -> LanguageConfig:
    """The settings of a row: Adam at 0.01 or SGD at 100, both clipped at 0.01.

    Raises:
      ValueError: if there is no such row.
    """
    if row not in ROWS:
        raise ValueError(f"There is no row {row}; there are {', '.join(ROWS)}.")
    return LanguageConfig(
        text=text, characters=10_000, held_out=0.0, epochs=epochs, seed=seed, **ROWS[row].settings
    )


def print_rows(runs: Mapping[str, Sequence[RunFolder]], console: Console) -> None:
    """Prints, for each row, the published perplexities and the means of ours below them."""
    results = {
        row: [read_result(folder)["metrics"] for folder in folders] for row, folders in runs.items()
    }
    marks = sorted(
        {
            int(name.removeprefix("perplexity_"))
            for metrics in results.values()
            for name in metrics[0]
            if name.startswith("perplexity_")
        }
    )
    table = Table(title="Perplexity of training", title_justify="left")
    table.add_column("model")
    for mark in marks:
        table.add_column(f"epoch {mark}", justify="right")
    table.add_column("seconds an epoch", justify="right")
    for row, metrics in results.items():
        published: dict[int, float | None] = dict(zip(EPOCHS, ROWS[row].published, strict=True))
        table.add_row(ROWS[row].title, *(_number(published.get(mark)) for mark in marks), "")
        ours = [statistics.mean(m[f"perplexity_{mark}"] for m in metrics) for mark in marks]
        seconds = statistics.mean(m["seconds_an_epoch"] for m in metrics)
        table.add_row(f"  ours, {len(metrics)} seed(s)", *map(_number, ours), f"{seconds:.2f}")
    console.print(table, highlight=False)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:#,.4g}" if value >= 10 else f"{value:.4f}"


def plot_rows(path: pathlib.Path, runs: Mapping[str, Sequence[RunFolder]]) -> None:
    """Draws the perplexity of training over the passes, and the published numbers as circles."""
    curves = {ROWS[row].title: [perplexity_by_epoch(f) for f in runs[row]] for row in runs}
    points = {
        ROWS[row].title: {
            epoch: value
            for epoch, value in zip(EPOCHS, ROWS[row].published, strict=True)
            if value is not None
        }
        for row in runs
    }
    plot_curves_and_points(path, curves, points)


def markdown_rows(results: Sequence[Mapping[str, Any]]) -> str:
    """The table of the README, from what results.json has of each row: published, then ours."""
    head = ["model", *(f"epoch {mark}" for mark in EPOCHS), "seconds an epoch"]
    lines = [head, ["---"] * len(head)]
    of_label = {r["label"]: r for r in results if r["experiment"] == "char_lm"}
    for row in ROWS.values():
        if label_of(row) not in of_label:
            continue
        also = of_label[label_of(row)]["also"]
        ours = [also[f"perplexity_{mark}"] for mark in EPOCHS]
        lines.append([row.title, *map(_number, row.published), ""])
        lines.append(["ours", *map(_number, ours), f"{also['seconds_an_epoch']:.2f}"])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def label_of(row: Row) -> str:
    """What the result of a row is called in results.json."""
    return f"perplexity of training after 160 epochs, {row.title}"
