"""The table that this project starts from, our numbers beside it, and its picture."""

import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.char_lm.config import EPOCHS, ROWS, Row
from experiments.characters.report import COLORS, finish_axes, perplexity_by_epoch
from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import read_result


def plot_curves_and_points(
    path: pathlib.Path,
    curves: Mapping[str, Sequence[Sequence[float]]],
    points: Mapping[str, Mapping[int, float]],
) -> None:
    """Draws the perplexities of several runs of each name over the passes, and points of others.

    The axis is logarithmic in the perplexity minus 1, so that 1.001 and 1.01 are apart.
    """
    figure = new_figure(10, 5)
    axes = figure.subplots()
    for color, (name, runs) in zip(COLORS, curves.items(), strict=False):
        for number, curve in enumerate(runs):
            label = name if number == 0 else None
            above = np.maximum(np.array(curve) - 1, _CLOSEST)
            axes.plot(range(1, len(curve) + 1), above, color=color, lw=1.2, label=label)
        epochs, values = list(points[name]), np.array(list(points[name].values()))
        axes.plot(epochs, values - 1, "o", color=color, mfc="white", ms=7, mew=1.6)
    axes.plot(
        [], [], "o", color="#666666", mfc="white", ms=7, mew=1.6, label="the source's numbers"
    )
    axes.set_yscale("log")
    axes.set_yticks([tick - 1 for tick in _NEAR_ONE], [f"{tick:,.6g}" for tick in _NEAR_ONE])
    axes.set_yticks([], minor=True)
    axes.set(xlabel="epoch", ylabel="perplexity", xlim=(0, None))
    axes.set_title("Perplexity of training")
    finish_axes(axes)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    save_picture(figure, path, dpi=130)


_CLOSEST = 1e-5
_NEAR_ONE = (1.00001, 1.0001, 1.001, 1.01, 1.1, 2, 11, 101, 1001)


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
