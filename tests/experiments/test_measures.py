"""Measures of nothing are said to be of nothing, and never decide anything."""

import pytest
from rich.console import Console

from birnn_jax.metrics import score_entities, score_translations
from experiments.compare_cells import __main__ as compare_cells
from experiments.ner import __main__ as ner
from experiments.ner.report import print_table
from experiments.pos_tagging import __main__ as pos_tagging
from experiments.pos_tagging.report import Tagged, summarise
from experiments.runner.data.measures import require_labels, share
from experiments.sentiment import __main__ as sentiment
from experiments.translation.data import Pair
from experiments.translation.scores import by_length
from experiments.words.data import Sentence
from tests.experiments._commands import command


def test_share_of_nothing_is_refused():
    assert share([True, True, False, True], "words") == 0.75
    with pytest.raises(ValueError, match=r"^There are no words to measure\.$"):
        share([], "words")


@pytest.mark.parametrize(
    ("train", "dev", "sentence"),
    [
        (
            ["a"],
            ["a"],
            "The training data have the label 'a' only: there is nothing to distinguish",
        ),
        ([], ["a"], "The training data have no label: "),
        (["a", "b"], [], "The development data have no label that training has"),
        (["a", "b"], ["c"], "so they cannot choose a checkpoint.*--dev"),
    ],
)
def test_data_that_decide_nothing_are_refused(train, dev, sentence):
    require_labels(["a", "b"], ["b", "c"], "label")
    with pytest.raises(ValueError, match=sentence):
        require_labels(train, dev, "label")


TAGGED = "".join(f"w{i}\t{{}}\n.\t{{}}\n\n" for i in range(9))


@pytest.mark.parametrize(
    ("main", "files", "sentence"),
    [
        (sentiment, {"train": "good\ta b\n" * 2, "dev": "bad\tc\n"}, "the label 'good' only"),
        (sentiment, {"train": "x\ta\ny\tb\n", "dev": "z\tc\n"}, "development data have no label"),
        (ner, {"train": "a O\n\nb O\n", "dev": "a B-X\n"}, "The training data have no entity"),
        (ner, {"train": "a B-X\n", "dev": "a O\n"}, "The development data have no entity that"),
        (ner, {"train": "a B-X\n", "dev": "a B-Y\n"}, "The development data have no entity that"),
        (pos_tagging, {"train": "a\tX\n", "dev": "b\tX\n"}, "have the tag 'X' only"),
        (pos_tagging, {"train": "a\tX\nb\tY\n", "dev": "b\tZ\n"}, "development data have no tag"),
        (compare_cells, {"data": TAGGED.format(*["X"] * 18)}, "have the tag 'X' only"),
    ],
)
def test_training_on_nothing_is_refused(main, files, sentence, tmp_path, monkeypatch, capsys):
    files = {"test": files["dev"]} | files if "dev" in files else files
    words = []
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        words += [f"--{name}", tmp_path / name]
    assert command(monkeypatch, main, "train", *words, "--run", tmp_path / "run") == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_entities_of_nothing_are_shown_as_none(capsys):
    gold = [["O", "O"], ["O"]]
    for said, cells in (
        (gold, ["all", "0", "0", "-", "-", "-"]),
        ([["O"] * 2, ["B-X"]], ["all", "0", "1", "0.00%", "-", "0.00%"]),
    ):
        print_table(score_entities(gold, said), gold, Console(width=200))
        out = capsys.readouterr().out
        assert "have no entity: recall is undefined" in out
        row = next(line for line in out.split("\n") if "│ all" in line)
        assert row.replace("│", " ").split() == cells
    print_table(score_entities([["B-X"]], [["O"]]), [["B-X"]], Console(width=200))
    out = capsys.readouterr().out
    assert "of nothing" not in out and out.count("0.00%") == 4 and out.count("-") == 2
    with pytest.raises(ValueError, match="There are no sentences to measure"):
        print_table(score_entities([], []), [], Console())


def test_no_accuracy_of_unknown_words_where_all_are_known():
    sentence = Sentence(("a", "b", "c"), ("X", "Y", "X"), ())

    def of(known):
        return summarise([Tagged(sentence, ["X", "X", "X"], ["Y", "Y", "X"], known)])

    some = of([True, False, False])
    assert some.pop("accuracy_unknown_words") == 0.5
    assert some == of([True] * 3) | {"unknown_words": 2 / 3}
    assert of([True] * 3) == {
        **{"accuracy": 2 / 3, "most_frequent_tag": 2 / 3},
        **{"unknown_words": 0.0, "whole_sentences": 0.0},
    }
    with pytest.raises(ValueError, match="There are no words to measure"):
        summarise([])


def test_translations_of_nothing_are_no_zero():
    assert score_translations(["", ""], ["a man", "b"])[:2] == (0, 0)
    for measured in (lambda: score_translations([], []), lambda: by_length([], [], "13a", 3)):
        with pytest.raises(ValueError, match="There are no sentences to measure"):
            measured()
    (whole,) = by_length(["", ""], [Pair("a b", "x"), Pair("c", "y")], "13a", 3)
    assert whole == (1.5, 0.0, 2)
