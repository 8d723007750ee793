"""Tables and pictures of what a trained classifier gets right, and on which words it rests."""

import pathlib
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from experiments.runner.data.measures import share
from experiments.runner.pictures.confusion import plot_confusion
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.pictures.figures import save_picture
from experiments.runner.pictures.style import BLUE
from experiments.runner.run.folder import RunFolder, write_text
from experiments.sentiment.baseline import bag_of_words
from experiments.sentiment.data import Text
from experiments.sentiment.model import Judged, TrainedClassifier

_WIDTH = 95  # characters of a line


def plot_attention(
    path: pathlib.Path, sentences: Sequence[tuple[Sequence[str], Sequence[float], str]]
) -> None:
    """Draws words, weights and label of each sentence: the darker a word, the more it weighs."""
    from matplotlib.figure import Figure

    height = 0.3 * len(sentences) + 0.4
    figure = Figure(figsize=(8.8, height + 0.35))
    axes = figure.add_axes((0.0, 0.0, 1.0, height / (height + 0.35)))
    axes.axis("off")
    axes.set(xlim=(-14, _WIDTH + 2), ylim=(len(sentences), -1))
    figure.suptitle(
        "Predicted labels; a darker word got more attention",
        x=0.01,
        y=0.99,
        ha="left",
        va="top",
        fontsize=10,
    )
    for line, (words, weights, label) in enumerate(sentences):
        style = {"family": "monospace", "fontsize": 8.5, "va": "center", "parse_math": False}
        axes.text(-13, line, label[:12], color="black", **style)
        place = 0.0
        for word, weight in zip(words, weights, strict=True):
            if place + cell_len(word) > _WIDTH:
                axes.text(place, line, "...", **style)
                break
            box = {"facecolor": BLUE, "alpha": 0.7 * weight / max(weights), "lw": 0, "pad": 1.5}
            axes.text(place, line, word, bbox=box, **style)
            place += cell_len(word) + 1
    save_picture(figure, path)


_SHOWN = 12  # words and sentences
_SEVERAL = 3


def finish(
    folder: RunFolder,
    classifier: TrainedClassifier,
    parts: dict[Any, list[Text]],
    console: Console,
) -> dict[str, float]:
    """Tests the classifier and the baseline, and draws; returns the metrics."""
    judged = classifier.judge(parts["test"])
    labels = bag_of_words(parts["train"], parts["dev"], parts["test"])
    baseline = share(
        [text.label == label for text, label in zip(parts["test"], labels, strict=True)],
        "sentences",
    )
    print_summary(judged, classifier, console, baseline)
    rows = [f"{result.text.label}\t{result.label}\t{result.text.text}\n" for result in judged]
    write_text(folder.path / "predictions.tsv", "".join(rows))
    wrong = [show(result) for result in judged if not result.is_right]
    write_text(folder.path / "mistakes.txt", "\n\n".join(wrong) + "\n")
    plot_curves(
        folder,
        Panel("Loss, nats a sentence", "loss", scale="log"),
        Panel("Accuracy", "accuracy", percent=True, levels={"bag of words": baseline}),
    )
    gold, predicted = [result.text.label for result in judged], [result.label for result in judged]
    plot_confusion(folder.path / "confusion.png", gold, predicted, items="sentences")
    if judged[0].weights:
        chosen = [
            (result.text.words, result.weights or [], result.label) for result in judged[:_SHOWN]
        ]
        plot_attention(folder.path / "attention.png", chosen)
    accuracy = share([result.is_right for result in judged], "sentences")
    return {"accuracy": accuracy, "bag_of_words": baseline}


def print_summary(
    judged: Sequence[Judged],
    classifier: TrainedClassifier,
    console: Console,
    baseline: float | None = None,
) -> None:
    """Prints accuracies, and the words on which the attention rests most."""
    usual = classifier.vocabulary.default_tag
    accuracy = share([result.is_right for result in judged], "sentences")
    table = Table(title=f"{len(judged):,} sentences", title_justify="left")
    table.add_column("of test")
    table.add_column("right", justify="right")
    table.add_row("all sentences", f"{accuracy:.2%}")
    if baseline is not None:
        table.add_row("  by words and pairs of words alone", f"{baseline:.2%}")
    by_usual = share([result.text.label == usual for result in judged], "sentences")
    table.add_row("  by the most frequent label", f"{by_usual:.2%}")
    console.print(table, highlight=False)
    strange = sorted({result.text.label for result in judged} - {*classifier.vocabulary.tags})
    if strange:
        console.print(
            f"Training has no label {', '.join(strange)}: those sentences count as wrong.",
            highlight=False,
            markup=False,
        )
    for label, words in weighty_words(judged).items() if judged[0].weights else ():
        console.print(f"{label} rests on {', '.join(words)}.", highlight=False, markup=False)


def weighty_words(judged: Sequence[Judged]) -> dict[str, list[str]]:
    """For each label the words with most attention, each against an equal share of its sentence.

    Of words that stand in several of the sentences that got the label.
    """
    shares: dict[str, dict[str, list[float]]] = {}
    for result in judged:
        of_label = shares.setdefault(result.label, {})
        for word, weight in zip(result.text.words, result.weights or [], strict=False):
            of_label.setdefault(word.lower(), []).append(weight * len(result.text.words))
    return {label: _heaviest(shares[label]) for label in sorted(shares)}


def _heaviest(shares: dict[str, list[float]]) -> list[str]:
    means = {word: statistics.mean(s) for word, s in shares.items() if len(s) >= _SEVERAL}
    return sorted(means, key=lambda word: -means[word])[:_SHOWN]


def show(result: Judged) -> str:
    """A text with its label, and the words that have more than their share of the attention."""
    said = f"{result.label} ({result.probability:.0%}): {result.text.text}"
    if not result.weights:
        return said
    order = np.argsort(result.weights)[::-1]
    heavy = [i for i in order if result.weights[i] > 1 / len(result.weights)]
    rests = ", ".join(f"{result.text.words[i]} {result.weights[i]:.0%}" for i in heavy)
    return f"{said}\n  rests on {rests or 'all words alike'}"
