"""Tables and pictures of what a classifier of series gets right."""

from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.runner.pictures.confusion import plot_confusion
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.run.folder import RunFolder
from experiments.time_series.classify.model import TrainedClassifier
from experiments.time_series.classify.ts_file import Series


def finish(
    folder: RunFolder, classifier: TrainedClassifier, test: Sequence[Series], console: Console
) -> dict[str, float]:
    """Tests the classifier, prints how it does, and draws; returns the metrics."""
    guessed = print_summary(classifier, test, console)
    gold = [example.label for example in test]
    usual = max(classifier.problem.labels, key=gold.count)
    plot_curves(
        folder,
        Panel("Loss, nats a series", "loss", scale="log"),
        Panel("Accuracy", "accuracy", percent=True),
    )
    plot_confusion(folder.path / "confusion.png", gold, guessed, items="series")
    return {
        "accuracy": share_right(gold, guessed),
        "largest_class": gold.count(usual) / len(gold),
    }


def print_summary(
    classifier: TrainedClassifier, series: Sequence[Series], console: Console
) -> list[str]:
    """Prints accuracy overall and of each class; returns the class given to each series."""
    labels = classifier.problem.labels
    guessed = [labels[k] for k in classifier.classify(series).argmax(axis=1)]
    gold = [example.label for example in series]
    table = Table(title=f"{len(series):,} series", title_justify="left")
    for name, justify in (("class", "left"), ("series", "right"), ("right", "right")):
        table.add_column(name, justify=justify)  # pyright: ignore[reportArgumentType]
    for label in sorted(set(gold)):
        of_label = [guess for guess, truth in zip(guessed, gold, strict=True) if truth == label]
        right = share_right([label] * len(of_label), of_label)
        table.add_row(label, f"{len(of_label):,}", f"{right:.2%}")
    table.add_row("all", f"{len(gold):,}", f"{share_right(gold, guessed):.2%}")
    console.print(table, highlight=False)
    strange = sorted(set(gold) - set(labels))
    if strange:
        console.print(
            f"Training has no class {', '.join(strange)}: those series count as wrong.",
            highlight=False,
        )
    return guessed


def share_right(gold: Sequence[str], guessed: Sequence[str]) -> float:
    """The share of labels that were guessed right."""
    return float(np.mean([a == b for a, b in zip(gold, guessed, strict=True)]))
