"""What a trained translator does, in numbers, in text and in pictures."""

import json
import pathlib
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from experiments.bilingual.pairs import Pair
from experiments.bilingual.pictures import Alignment, plot_alignments
from experiments.bilingual.scores import Scores, length_of, score
from experiments.bilingual.trained import Search, TrainedTranslator
from experiments.runner.curves import Panel, plot_curves
from experiments.runner.files import parsed_as, read_utf8
from experiments.runner.folder import RunFolder, write_text
from experiments.runner.journal import read_journal
from experiments.runner.results import write_result

TRANSLATIONS = "translations.jsonl"
_SHOWN = 4
_NO_FONT = (
    "No font of this machine has all characters of the picture: install one, such as Noto Sans CJK."
)


def finish(
    folder: RunFolder, translator: TrainedTranslator, test: Sequence[Pair], console: Console
) -> None:
    """Tests the translator, prints how it does, and leaves the results in the run folder."""
    sources = [pair.source for pair in test]
    found = translator.translate(sources)
    greedy = translator.translate(sources, Search(1, 0.0))
    scores = {"beam": measure(found, test, translator), "greedy": measure(greedy, test, translator)}
    print_summary(scores, console)
    for pair, one in list(zip(test, found, strict=True))[:_SHOWN]:
        lines = f"{pair.source}\n  found: {one}\n  right: {pair.target}"
        console.print(lines, highlight=False, markup=False, soft_wrap=True)
    records = [{**pair._asdict(), "found": one} for pair, one in zip(test, found, strict=True)]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_text(folder.path / TRANSLATIONS, lines)
    write_result(folder, metrics_of(scores))
    plot_curves(
        folder.path / "curves.png",
        read_journal(folder.path / "metrics.jsonl"),
        [
            Panel("Loss, nats a subword", "loss", scale="log"),
            Panel("Subwords right, after right ones", "accuracy", percent=True),
        ],
    )
    pictures = "curves.png"
    if translator.config.attention != "none":
        pictures += " and alignments.png"
        draw_alignments(folder.path / "alignments.png", translator, examples(test), console)
    console.print(f"Everything is in {folder.path}; look at its {pictures}.", highlight=False)


def measure(found: Sequence[str], test: Sequence[Pair], translator: TrainedTranslator) -> Scores:
    """BLEU and chrF of translations."""
    return score(found, [pair.target for pair in test], translator.config.bleu_tokens)


def metrics_of(scores: Mapping[str, Scores]) -> dict[str, float]:
    """The metrics of result.json, of 100."""
    return {
        "bleu": scores["beam"].bleu,
        "chrf": scores["beam"].chrf,
        "greedy_bleu": scores["greedy"].bleu,
        "greedy_chrf": scores["greedy"].chrf,
    }


def print_summary(scores: Mapping[str, Scores], console: Console) -> None:
    """Prints BLEU and chrF of each search, and how they were measured."""
    table = Table()
    for name in ("search", "BLEU", "chrF"):
        table.add_column(name)
    for search, one in scores.items():
        table.add_row(search, f"{one.bleu:.2f}", f"{one.chrf:.2f}")
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
        Alignment(*translator.align(pair.source, one))
        for pair, one in zip(pairs, found, strict=True)
    ]
    if not plot_alignments(path, [one for one in shown if one.weights.size]):
        console.print(_NO_FONT)


def read_translations(folder: RunFolder) -> list[tuple[Pair, str]]:
    """The test of a run, with what was found for it."""
    path = folder.path / TRANSLATIONS
    if not path.exists():
        raise ValueError(f"{folder.path} has no {TRANSLATIONS}: let its run end first.")
    lines = read_utf8(path).removesuffix("\n").split("\n")
    with parsed_as(path, "lines of JSON, each with source, target and found"):
        records = [json.loads(line) for line in lines]
        return [(Pair(one["source"], one["target"]), str(one["found"])) for one in records]
