"""What a trained tagger gets right and wrong, in numbers, in text and in pictures."""

import pathlib
import random
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from experiments.pos_tagging.data import retag
from experiments.pos_tagging.model import TrainedTagger
from experiments.runner.data.measures import share
from experiments.runner.pictures.confusion import plot_confusion
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.run.folder import RunFolder, write_text
from experiments.words.data import Sentence
from experiments.words.report import aligned


class Tagged(NamedTuple):
    """A sentence with its tags and those that the tagger and the baseline give it."""

    sentence: Sentence
    predicted: list[str]
    usual: list[str]  # the most frequent tag of each word in training
    known: list[bool]  # whether training has the word, in this case of letters

    @property
    def is_right(self) -> bool:
        """Whether every tag is right."""
        return self.predicted == list(self.sentence.tags)


class Word(NamedTuple):
    """One word of `Tagged`."""

    gold: str
    predicted: str
    usual: str
    known: bool


def finish(
    folder: RunFolder, tagger: TrainedTagger, test: Sequence[Sentence], console: Console
) -> dict[str, float]:
    """Tests the tagger, prints how it does, and draws; returns the metrics."""
    tagged = tag_all(tagger, test)
    print_summary(tagged, tagger, console)
    write_predictions(folder, tagged)
    wrong = [mistakes(result) for result in tagged if not result.is_right]
    write_text(folder.path / "mistakes.txt", "\n\n\n".join(wrong) + "\n")
    summary, words = summarise(tagged), words_of(tagged)
    levels = {"most frequent tag": summary["most_frequent_tag"]}
    plot_curves(
        folder,
        Panel("Loss, nats a word", "loss", scale="log"),
        Panel("Accuracy", "accuracy", percent=True, levels=levels),
    )
    gold, predicted = [word.gold for word in words], [word.predicted for word in words]
    plot_confusion(folder.path / "confusion.png", gold, predicted)
    return summary


def write_predictions(folder: RunFolder, tagged: Sequence[Tagged]) -> None:
    """Writes the test data as it was, but with the predicted tags."""
    suffixes = pathlib.Path(folder.config["data"]["test"]["path"]).suffixes
    suffix = "".join(suffix for suffix in suffixes[-2:] if suffix != ".gz")
    blocks = [retag(result.sentence, result.predicted) for result in tagged]
    text = "".join("\n".join(block) + "\n\n" for block in blocks)
    write_text(folder.path / f"predictions{suffix}", text)


def tag_all(tagger: TrainedTagger, sentences: Sequence[Sentence]) -> list[Tagged]:
    """Tags the sentences."""
    vocabulary = tagger.vocabulary
    predicted = tagger.tag([sentence.words for sentence in sentences])
    return [
        Tagged(
            sentence,
            tags,
            usual=[vocabulary.guess(word) for word in sentence.words],
            known=[vocabulary.knows(word) for word in sentence.words],
        )
        for sentence, tags in zip(sentences, predicted, strict=True)
    ]


def words_of(tagged: Sequence[Tagged]) -> list[Word]:
    """The words of all sentences."""
    return [
        Word(*word)
        for result in tagged
        for word in zip(
            result.sentence.tags, result.predicted, result.usual, result.known, strict=True
        )
    ]


def summarise(tagged: Sequence[Tagged]) -> dict[str, float]:
    """Accuracies, of 1; that of unknown words where there are any."""
    words = words_of(tagged)
    unknown = [word.predicted == word.gold for word in words if not word.known]
    return {
        "accuracy": share([word.predicted == word.gold for word in words], "words"),
        "most_frequent_tag": share([word.usual == word.gold for word in words], "words"),
        **({"accuracy_unknown_words": share(unknown, "unknown words")} if unknown else {}),
        "unknown_words": len(unknown) / len(words),
        "whole_sentences": share([result.is_right for result in tagged], "sentences"),
    }


def print_summary(tagged: Sequence[Tagged], tagger: TrainedTagger, console: Console) -> None:
    """Prints accuracies beside the baseline, and a few sentences with their mistakes."""
    summary, words = summarise(tagged), words_of(tagged)
    table = Table(title=f"{len(tagged):,} sentences, {len(words):,} words", title_justify="left")
    table.add_column("of test")
    table.add_column("right", justify="right")
    table.add_row("all words", f"{summary['accuracy']:.2%}")
    table.add_row("  by the most frequent tag of each", f"{summary['most_frequent_tag']:.2%}")
    of_unknown = summary.get("accuracy_unknown_words")
    table.add_row(
        f"unknown words ({summary['unknown_words']:.1%} of all)",
        "none" if of_unknown is None else f"{of_unknown:.2%}",
    )
    table.add_row("whole sentences", f"{summary['whole_sentences']:.2%}")
    console.print(table, highlight=False)
    strange = sorted({word.gold for word in words} - set(tagger.vocabulary.tags))
    if strange:
        console.print(
            f"Training has no tag {', '.join(strange)}: those words count as wrong.",
            highlight=False,
        )
    wrong = [result for result in tagged if not result.is_right]
    if wrong:
        console.print(f"{len(wrong):,} sentences have a mistake; some of them:\n", highlight=False)
    for result in random.Random(0).sample(wrong, min(3, len(wrong))):
        console.print(mistakes(result) + "\n", highlight=False, markup=False, soft_wrap=True)


def mistakes(result: Tagged) -> str:
    """A sentence, its predicted tags, and below a wrong one the right one."""
    right = [
        "" if gold == tag else gold
        for gold, tag in zip(result.sentence.tags, result.predicted, strict=True)
    ]
    labelled = [["", *result.sentence.words], ["said", *result.predicted], ["right", *right]]
    return aligned(labelled)
