"""Tables and pictures of what a trained tagger of entities finds and what it misses."""

import random
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from birnn_jax.metrics import EntityScore, score_entities
from birnn_jax.text import split_tag
from experiments.ner.model import TrainedEntityTagger
from experiments.ner.schemes import OUTSIDE
from experiments.runner.data.measures import require_some
from experiments.runner.pictures.confusion import plot_confusion
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.run.folder import RunFolder, write_text
from experiments.words.data import Sentence
from experiments.words.report import aligned


def finish(
    folder: RunFolder, tagger: TrainedEntityTagger, test: Sequence[Sentence], console: Console
) -> dict[str, float]:
    """Tests the tagger, prints how it does, and draws; returns the metrics."""
    predicted = tagger.tag([sentence.words for sentence in test])
    scores = print_scores(test, predicted, console)
    write_predictions(folder, test, predicted)
    wrong = [
        mistakes(sentence, tags)
        for sentence, tags in zip(test, predicted, strict=True)
        if is_wrong(sentence, tags)
    ]
    write_text(folder.path / "mistakes.txt", "\n\n\n".join(wrong) + "\n")
    overall = scores[""]
    by_class = {f"f1_{name}": score.f1 for name, score in scores.items() if name}
    metrics = {name: getattr(overall, name) for name in ("f1", "precision", "recall")}
    plot_curves(
        folder,
        Panel("Loss, nats a word", "loss", scale="log"),
        Panel("F1 of entities", "f1", percent=True),
    )
    entities = [
        [split_tag(tag)[1] or tag for row in rows for tag in row]
        for rows in ([sentence.tags for sentence in test], predicted)
    ]
    plot_confusion(folder.path / "confusion.png", *entities)
    return metrics | by_class


def is_wrong(sentence: Sentence, predicted: Sequence[str]) -> bool:
    """Whether a tag differs."""
    return list(sentence.tags) != list(predicted)


def write_predictions(
    folder: RunFolder, test: Sequence[Sentence], predicted: Sequence[Sequence[str]]
) -> None:
    """Writes word, right tag and predicted tag, which is what conlleval reads."""
    blocks = [
        "".join(
            "\t".join(row) + "\n" for row in zip(sentence.words, sentence.tags, tags, strict=True)
        )
        for sentence, tags in zip(test, predicted, strict=True)
    ]
    write_text(folder.path / "predictions.tsv", "\n".join(blocks))


def print_scores(
    test: Sequence[Sentence], predicted: Sequence[Sequence[str]], console: Console
) -> dict[str, EntityScore]:
    """Prints precision, recall and F1, and a few sentences with their mistakes."""
    gold = [sentence.tags for sentence in test]
    scores = score_entities(gold, predicted)
    print_table(scores, gold, console)
    wrong = [pair for pair in zip(test, predicted, strict=True) if is_wrong(*pair)]
    if wrong:
        console.print(f"{len(wrong):,} sentences have a mistake; some of them:\n", highlight=False)
    for pair in random.Random(0).sample(wrong, min(3, len(wrong))):
        console.print(mistakes(*pair) + "\n", highlight=False, markup=False, soft_wrap=True)
    return scores


def print_table(
    scores: Mapping[str, EntityScore], gold: Sequence[Sequence[str]], console: Console
) -> None:
    """Prints precision, recall and F1, overall and by class; "-" is a measure of nothing."""
    require_some(gold, "sentences")
    words = sum(map(len, gold))
    table = Table(title=f"{len(gold):,} sentences, {words:,} words", title_justify="left")
    for name in ("entities", "in the text", "found", "precision", "recall", "F1"):
        table.add_column(name, justify="left" if name == "entities" else "right")
    for name, score in scores.items():
        counts = (score.predicted, score.gold, score.predicted + score.gold)
        shares = (score.precision, score.recall, score.f1)
        cells = (f"{s:.2%}" if count else "-" for s, count in zip(shares, counts, strict=True))
        table.add_row(name or "all", f"{score.gold:,}", f"{score.predicted:,}", *cells)
    console.print(table, highlight=False)
    if not scores[""].gold:
        console.print("The sentences have no entity: recall is undefined, F1 not meaningful.")


def mistakes(sentence: Sentence, predicted: Sequence[str]) -> str:
    """A sentence, its predicted tags, and below a wrong one the right one."""
    right = [
        "" if gold == tag else gold for gold, tag in zip(sentence.tags, predicted, strict=True)
    ]
    said = [
        tag if gold or tag != OUTSIDE else "" for gold, tag in zip(right, predicted, strict=True)
    ]
    return aligned([["", *sentence.words], ["said", *said], ["right", *right]])
