"""Tables and pictures of what a trained language model knows."""

import itertools
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.characters.data import Corpus
from experiments.characters.generate import Drawing
from experiments.characters.training import TrainedModel, load_model, perplexity_of
from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.run.folder import RunFolder, write_text
from experiments.runner.run.journal import read_journal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PARTS = 4  # of the run, at the end of which the perplexity of training is noted
_SAMPLE = 200


def finish(folder: RunFolder, corpus: Corpus, console: Console) -> dict[str, float]:
    """Measures the model, prints what it knows, and draws; returns the metrics."""
    trained = load_model(folder)
    parts = parts_of(corpus)
    measured = {name: trained.measure(tokens) for name, tokens in parts.items()}
    print_measures(measured, console)
    perplexities = perplexity_by_epoch(folder)
    plot_run(
        folder.path / "curves.png",
        perplexities,
        [r for r in read_journal(folder.path / "metrics.jsonl") if r["split"] == "dev"],
        len(perplexities),
    )
    sample = make_sample(trained, corpus)
    write_text(folder.path / "sample.txt", sample + "\n")
    console.print(f"\n{sample}\n", highlight=False, markup=False, soft_wrap=True)
    return training_metrics(folder, perplexities) | _flat(measured)


def parts_of(corpus: Corpus) -> dict[str, np.ndarray]:
    """The parts of a text that there are."""
    parts = {"training": corpus.train, "held-out": corpus.held_out}
    return {name: tokens for name, tokens in parts.items() if len(tokens)}


def print_measures(measured: dict[str, dict[str, float]], console: Console) -> None:
    """Prints a row for each text."""
    table = Table()
    for name in ("text", "perplexity", "bits a character", "nats a character", "right"):
        table.add_column(name, justify="left" if name == "text" else "right")
    for name, m in measured.items():
        table.add_row(
            name,
            f"{m['perplexity']:,.4g}",
            f"{m['bits']:.4f}",
            f"{m['nats']:.4f}",
            f"{m['accuracy']:.2%}",
        )
    console.print(table, highlight=False)


def perplexity_by_epoch(folder: RunFolder) -> list[float]:
    """Of training, while it was going on: over the minibatches of each pass."""
    records = [r for r in read_journal(folder.path / "metrics.jsonl") if r["split"] == "train"]
    size = len(records) // folder.settings["epochs"]
    losses = [record["loss"] for record in records]
    means = [statistics.mean(losses[i : i + size]) for i in range(0, len(losses), size)]
    return [perplexity_of(mean) for mean in means]


def training_metrics(folder: RunFolder, perplexities: Sequence[float]) -> dict[str, float]:
    """Perplexity of training after each quarter of the run, and the time of a pass.

    The time is that of the quickest stretch between two evaluations, one of them included: what
    runs beside makes the others slower.
    """
    epochs = len(perplexities)
    marks = sorted({max(1, epochs * part // _PARTS) for part in range(1, _PARTS + 1)})
    metrics = {f"perplexity_{mark}": perplexities[mark - 1] for mark in marks}
    clock = read_journal(folder.path / "clock.jsonl")
    spans = itertools.pairwise([{"step": 0}, *clock])
    records_per_epoch = clock[-1]["step"] / epochs
    seconds = [
        after["seconds"] * records_per_epoch / (after["step"] - before["step"])
        for before, after in spans
    ]
    return metrics | {
        "perplexity": perplexities[-1],
        "seconds_an_epoch": min(seconds),
    }


def make_sample(trained: TrainedModel, corpus: Corpus) -> str:
    """The first characters of the text, and how the model goes on."""
    prefix = trained.vocabulary.decode(corpus.train[:2])
    characters = trained.continue_text(
        prefix, length=_SAMPLE, drawing=Drawing(temperature=0.8), key=jax.random.key(0)
    )
    return prefix + "".join(characters)


def _flat(measured: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {
        f"{part.replace('-', '_')}_{name}": value
        for part, values in measured.items()
        for name, value in values.items()
    }


COLORS = ("#08519c", "#6baed6", "#d94801", "#fdae6b", "#238b45", "#6a51a3", "#969696")
_TICKS = (1, 1.02, 1.1, 1.5, 2, 4, 10, 30, 100, 300, 1000, 3000)


def plot_run(
    path: pathlib.Path, training: Sequence[float], dev: Sequence[Mapping[str, Any]], epochs: int
) -> None:
    """Draws the perplexity of training and on dev over the passes of a run."""
    figure = new_figure(6.5, 3.8)
    axes = figure.subplots()
    axes.plot(range(1, epochs + 1), training, color=COLORS[1], label="training, as it goes on")
    steps = max(record["step"] for record in dev) / epochs
    axes.plot(
        [record["step"] / steps for record in dev],
        [np.exp(record["loss"]) for record in dev],
        "o-",
        color=COLORS[0],
        ms=3,
        label="dev",
    )
    axes.set(xlabel="epoch", ylabel="perplexity", xlim=(0, None), title="Perplexity")
    log_axis(axes)
    finish_axes(axes)
    axes.legend(frameon=False)
    save_picture(figure, path)


def log_axis(axes: "Axes") -> None:
    """Perplexity at round numbers, in proportion to nats."""
    from matplotlib.ticker import MaxNLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    inside = [tick for tick in _TICKS if low * 0.97 <= tick <= high * 1.03]
    if len(inside) < 2:
        inside = [tick for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    # Two labels that would touch are one too many.
    far = np.log(high / low) / 14
    kept: list[float] = []
    for tick in inside:
        if not kept or np.log(tick / kept[-1]) > far:
            kept.append(tick)
    axes.set_yticks(kept, minor=False)
    axes.set_yticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.4g}")


def finish_axes(axes: "Axes") -> None:
    """The look of all pictures."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
