"""Tables and pictures of what a trained translator does."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from birnn_jax.metrics import TranslationScores, score_translations
from experiments.runner.data.files import parsed_as, read_utf8
from experiments.runner.pictures.curves import Panel, plot_curves
from experiments.runner.pictures.figures import new_figure, save_picture
from experiments.runner.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    VERMILION,
    label_lines,
    literal,
    median_line,
    tidy,
)
from experiments.runner.run.folder import RunFolder, write_text
from experiments.translation.data import Pair
from experiments.translation.scores import OfLength, length_of
from experiments.translation.search import Search
from experiments.translation.training import TrainedTranslator

_COLORS = {"additive": BLUE, "multiplicative": GREEN, "none": VERMILION}
_NAMES = {"additive": "additive", "multiplicative": "multiplicative", "none": "fixed vector"}


class Alignment(NamedTuple):
    """What the decoder looked at while it wrote each subword."""

    source: Sequence[str]
    target: Sequence[str]
    weights: np.ndarray  # [N, T]


def plot_alignments(path: pathlib.Path, alignments: Sequence[Alignment]) -> None:
    """Draws attention weights: a row for each subword written, a column for each one read."""
    columns = min(2, len(alignments))
    rows = -(-len(alignments) // columns)
    figure = new_figure(5.2 * columns, 4.2 * rows)
    panels = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    image = None
    for axes, alignment in zip(panels, alignments, strict=False):
        image = axes.imshow(alignment.weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(
            range(len(alignment.source)),
            _shown(alignment.source),
            rotation=60,
            ha="left",
            fontsize=9,
        )
        axes.set_yticks(range(len(alignment.target)), _shown(alignment.target), fontsize=9)
        axes.xaxis.set_ticks_position("top")
        axes.xaxis.set_label_position("top")
        axes.set(xlabel="read", ylabel="written")
        axes.tick_params(length=0)
        axes.spines[:].set_color(GREY)
    for axes in panels[len(alignments) :]:
        axes.set_visible(False)
    if image is not None:
        figure.colorbar(image, ax=figure.axes, shrink=0.4, label="weight; each row adds up to 1")
    figure.suptitle("Attention on the subwords read, for each subword written")
    save_picture(figure, path)


def plot_lengths(path: pathlib.Path, groups: Mapping[str, Sequence[Sequence[OfLength]]]) -> None:
    """Draws BLEU over the length of the source, for the runs of each kind of attention."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    ends = []
    for kind, runs in groups.items():
        lengths = [of_length.length for of_length in runs[0]]
        bleus = np.array([[of_length.bleu for of_length in run] for run in runs])
        end = median_line(axes, lengths, bleus, _COLORS[kind], "o-")
        ends.append((*end, _NAMES[kind], _COLORS[kind]))
    axes.set(
        title="BLEU by the length of the source sentence",
        xlabel="words of the source, mean of a class of sentences",
        ylabel="BLEU",
        ylim=(0, None),
    )
    tidy(axes)
    label_lines(axes, ends)
    save_picture(figure, path)


def _shown(pieces: Sequence[str]) -> list[str]:
    """Subwords as words, "_" for the space before them."""
    return [literal(piece.replace("▁", "_")) for piece in pieces]


TRANSLATIONS = "translations.jsonl"
_SHOWN = 4
_NOTHING = "Every translation is empty: there is no alignment to draw."


def finish(
    folder: RunFolder, translator: TrainedTranslator, test: Sequence[Pair], console: Console
) -> dict[str, float]:
    """Tests the translator, prints how it does, and draws; returns the metrics."""
    sources = [pair.source for pair in test]
    found = translator.translate(sources)
    greedy = translator.translate(sources, Search(1, 0.0))
    scores = {"beam": measure(found, test, translator), "greedy": measure(greedy, test, translator)}
    print_summary(scores, console)
    for pair, translation in list(zip(test, found, strict=True))[:_SHOWN]:
        lines = f"{pair.source}\n  found: {translation}\n  right: {pair.target}"
        console.print(lines, highlight=False, markup=False, soft_wrap=True)
    records = [
        {**pair._asdict(), "found": translation}
        for pair, translation in zip(test, found, strict=True)
    ]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_text(folder.path / TRANSLATIONS, lines)
    plot_curves(
        folder,
        Panel("Loss, nats a subword", "loss", scale="log"),
        Panel("Accuracy of subwords, teacher forcing", "accuracy", percent=True),
    )
    if translator.config.attention != "none":
        draw_alignments(folder.path / "alignments.png", translator, examples(test), console)
    return metrics_of(scores)


def measure(
    found: Sequence[str], test: Sequence[Pair], translator: TrainedTranslator
) -> TranslationScores:
    """BLEU and chrF of translations."""
    references = [pair.target for pair in test]
    return score_translations(found, references, tokenize=translator.config.bleu_tokens)


def metrics_of(scores: Mapping[str, TranslationScores]) -> dict[str, float]:
    """The metrics of result.json, of 100."""
    return {
        "bleu": scores["beam"].bleu,
        "chrf": scores["beam"].chrf,
        "greedy_bleu": scores["greedy"].bleu,
        "greedy_chrf": scores["greedy"].chrf,
    }


def print_summary(scores: Mapping[str, TranslationScores], console: Console) -> None:
    """Prints BLEU and chrF of each search, and how they were measured."""
    table = Table()
    for name in ("search", "BLEU", "chrF"):
        table.add_column(name)
    for search, found in scores.items():
        table.add_row(search, f"{found.bleu:.2f}", f"{found.chrf:.2f}")
    console.print(table)
    console.print(f"sacreBLEU {scores['beam'].signature}", highlight=False)


def examples(pairs: Sequence[Pair], number: int = 4) -> list[Pair]:
    """The first pairs that are longer than most, to look at."""
    lengths = sorted(length_of(pair.source) for pair in pairs)
    long = lengths[3 * len(lengths) // 4]
    return [pair for pair in pairs if length_of(pair.source) >= long][:number]


def draw_alignments(
    path: pathlib.Path, translator: TrainedTranslator, pairs: Sequence[Pair], console: Console
) -> None:
    """Draws where the translator looks while it writes its own translations."""
    found = translator.translate([pair.source for pair in pairs])
    shown = [
        Alignment(*translator.align(pair.source, translation))
        for pair, translation in zip(pairs, found, strict=True)
    ]
    shown = [alignment for alignment in shown if alignment.weights.size]
    if not shown:
        console.print(_NOTHING)
    else:
        plot_alignments(path, shown)


def read_translations(folder: RunFolder) -> list[tuple[Pair, str]]:
    """The test of a run, with what was found for it."""
    path = folder.path / TRANSLATIONS
    if not path.exists():
        raise ValueError(f"{folder.path} has no {TRANSLATIONS}: let its run end first.")
    lines = read_utf8(path).removesuffix("\n").split("\n")
    with parsed_as(path, "lines of JSON, each with source, target and found"):
        records = [json.loads(line) for line in lines]
        return [
            (Pair(record["source"], record["target"]), str(record["found"])) for record in records
        ]
