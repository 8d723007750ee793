"""Translation: what is read and refused, the model step by step, and the commands."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.runner.data.reading import Reading
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from experiments.translation import __main__ as translation
from experiments.translation.config import TranslationConfig, Translator
from experiments.translation.data import (
    Pair,
    read_columns,
    read_pairs,
    read_parallel,
)
from experiments.translation.encoding import learn_lexicon
from experiments.translation.scores import by_length
from experiments.translation.subwords import BEGIN, END, UNKNOWN, Subwords
from experiments.translation.training import load_translator, make_training
from tests import _figures
from tests.experiments import _small_translation
from tests.experiments._commands import command, standard_input
from tests.experiments._computed import computed
from tests.experiments._trainings import grown_from, started_training

pytestmark = pytest.mark.slow

CHANGES = {
    "reverse": True,
    "source_subwords": 20,
    "target_subwords": 20,
    "cell": "lstm",
    "attention": "additive",
    "layers": 2,
    "embedding_size": 7,
    "hidden_size": 6,
    "dropout": 0.1,
    "label_smoothing": 0.0,
    "teacher_forcing": 0.5,
    "epochs": 2,
    "batch_size": 3,
    "learning_rate": 1e-2,
    "clip_norm": 1e-3,
    "average_decay": 0.5,
    "seed": 1,
}
FILES = {"data", "source", "target", "dev_source", "dev_target", "test_source", "test_target"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return _small_translation.write_columns(tmp_path_factory.mktemp("pairs"))


def computed_by(config):
    parts = read_pairs(config, Reading())
    return computed(make_training(config, learn_lexicon(config, parts["train"]), parts))


@pytest.fixture(scope="module")
def usually_computed(data):
    return computed_by(_small_translation.config(data))


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(TranslationConfig)}
    in_other_tests = {"patience", "epochs_per_evaluation"}
    searched = {"beam_width", "length_penalty", "bleu_tokens", "encoding", "strict"}
    assert names == CHANGES.keys() | FILES | searched | in_other_tests


@pytest.mark.parametrize(("name", "value"), CHANGES.items(), ids=CHANGES.keys())
def test_option_changes_what_is_computed(data, usually_computed, name, value):
    assert computed_by(_small_translation.config(data, **{name: value})) != usually_computed


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": 0}, "layers must be positive"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0"),
        ({"teacher_forcing": 1.5}, "teacher_forcing must be from 0 to 1"),
        ({"length_penalty": -1.0}, "length_penalty must not be negative"),
        ({"source": "a"}, "source and target must be given together"),
        ({"dev_source": "a", "dev_target": "b"}, "must be given with source"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TranslationConfig(**settings)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_parallel_files_of_unequal_length_are_refused_with_their_numbers(tmp_path):
    source, target = write(tmp_path / "a", "x\ny\nz\n"), write(tmp_path / "b", "1\n2\n")
    with pytest.raises(ValueError, match=r"a has 3 lines and .*b has 2: of two parallel files"):
        read_parallel(source, target, Reading())


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("x\n\n z\n", "1\n \n2\n", ["a, line 2: an empty line; its pair is left out"]),
        ("x\ny\n z\n", "1\n\n2\n", ["b, line 2: an empty line; its pair is left out"]),
        ("x\nz\n\n\n", "1\n2", []),
        ("x\nz\ny\n", "1\n2\n\n\n", ["b, line 3: an empty line; its pair is left out"]),
    ],
    ids=["both", "one", "blank lines behind", "one at the end"],
)
def test_parallel_files_lose_pairs_that_are_empty(tmp_path, source, target, told):
    reading = Reading()
    files = write(tmp_path / "a", source), write(tmp_path / "b", target)
    assert read_parallel(*files, reading) == [Pair("x", "1"), Pair("z", "2")]
    assert [one.removeprefix(f"{tmp_path}/") for one in reading.sentences()] == [
        f"{one}." for one in told
    ]


def test_parallel_files_without_a_pair_are_refused(tmp_path):
    with pytest.raises(ValueError, match="are empty: there is no pair"):
        read_parallel(write(tmp_path / "a", "\n"), write(tmp_path / "b", "\n"), Reading())


PAIRS = [Pair("Go on.", "Weiter."), Pair("I 2.", "Ich 2."), Pair("Go on.", "Los.")]


@pytest.mark.parametrize(
    ("row", "places"),
    [
        ("{0}\t{1}", None),
        ("{0}\t{1}\tCC-BY {i}", None),
        ("{i}\t{0}\t{j}\t{1}", "2 and 4"),
        ("{i}\teng\t{0}\t{j}\tdeu\t{1}", "3 and 6"),
        ("{i}\t{0}\t{1}", "2 and 3"),
        ("dev\t{i}\t{0}\t{1}\t", "3 and 4"),
    ],
    ids=["two", "three", "tatoeba", "with languages", "numbered", "parts"],
)
def test_columns_hold_pairs_among_numbers_and_codes(tmp_path, row, places):
    lines = [row.format(*pair, i=1276 + i, j=77 - i) for i, pair in enumerate(PAIRS)]
    path, reading = write(tmp_path / "a", "\n".join(lines) + "\n\n"), Reading()
    (pairs,) = read_columns(path, reading).values()
    assert pairs == PAIRS
    told = [f"{path}: sentences in columns {places}; the others hold numbers or codes."]
    assert reading.sentences() == told * (places is not None)


def test_short_word_that_stands_twice_is_no_code_of_a_language(tmp_path):
    path = write(tmp_path / "a", "go\tgeh\tx\ngo\tlos\ty\n")
    assert read_columns(path, Reading()) == {None: [Pair("go", "geh"), Pair("go", "los")]}


def test_pairs_are_read_the_other_way_round_if_asked(tmp_path):
    path = write(tmp_path / "a", "".join(f"train\t{i} a\tb {i}\n" for i in range(20)))
    parts = [read_pairs(TranslationConfig(data=path, reverse=way), Reading()) for way in (0, 1)]
    for part, pairs in parts[0].items():
        assert parts[1][part] == [Pair(pair.target, pair.source) for pair in pairs]
    assert parts[0]["train"][0].source.endswith(" a")


def test_columns_of_numbers_alone_are_sentences(tmp_path):
    path = write(tmp_path / "a", "1\tone\n20\ttwenty\n")
    assert read_columns(path, Reading()) == {None: [Pair("1", "one"), Pair("20", "twenty")]}


def test_columns_that_cannot_be_meant_are_refused(tmp_path):
    lines = "dev\tx\t1\tme\ntest\ty\t2\nother\tz\t3\n"
    for content, sentence in (
        (lines, "line 3: 'other' is not train, dev or test"),
        ("x\t1\ny\n", r"line 2: 1 tab-separated column\(s\), but source and target"),
        ("x\t \n", "no pair of sentences of which neither is empty"),
        ("source\ttarget\n", "is empty"),
    ):
        with pytest.raises(ValueError, match=sentence):
            read_columns(write(tmp_path / "a", content), Reading())


def test_header_line_and_empty_sentences_are_told(tmp_path):
    reading = Reading()
    path = write(tmp_path / "a", "source\ttarget\nx\t1\n\ny\t\nz\t3\n")
    assert read_columns(path, reading) == {None: [Pair("x", "1"), Pair("z", "3")]}
    assert reading.sentences() == [
        f"{path}, line 1: a header line; left out.",
        f"{path}, line 4: an empty sentence; its pair is left out.",
    ]


def test_a_source_sentence_is_in_one_part_only(tmp_path):
    lines = "".join(f"sentence {i // 2}\t{i}\n" for i in range(400))
    config = TranslationConfig(data=write(tmp_path / "a", lines))
    parts = read_pairs(config, Reading())
    sources = [{pair.source for pair in part} for part in parts.values()]
    assert [len(part) for part in sources] == [160, 20, 20]
    assert len(set.union(*sources)) == 200 and sum(map(len, parts.values())) == 400


def test_subwords_come_back_as_the_sentence(data):
    train = read_columns(data, Reading())["train"]
    subwords = Subwords.learn([pair.target for pair in train], 40)
    assert subwords.decode(subwords.encode("due tre quattro")) == "due tre quattro"
    assert not {BEGIN, END} & set(subwords.encode("due uno").tolist())
    with pytest.raises(ValueError, match="Subwords cannot be learned"):
        Subwords.learn(["a"], 4)


def test_rare_characters_are_unknown_where_there_are_more_than_fit():
    common, rare = "abcdefgh" * 400, "".join(map(chr, range(0x4E00, 0x4E30)))
    subwords = Subwords.learn([common, rare], 24)
    assert UNKNOWN not in subwords.encode("abc") and UNKNOWN in subwords.encode(rare)
    assert len(subwords) <= 24


def test_classes_of_lengths_hold_every_sentence():
    pairs = [Pair("w " * (1 + i % 4), "the cat sat on the mat") for i in range(130)]
    right = [pair.target for pair in pairs]
    wrong = [one if i % 4 < 2 else "a dog ran off with it" for i, one in enumerate(right)]
    classes = by_length(wrong, pairs, "13a", 4)
    assert [one.length for one in classes] == [1, 2, 3, 4]
    assert sum(one.sentences for one in classes) == 130
    bleus = [one.bleu for one in classes]
    assert bleus[:2] == pytest.approx([100, 100]) and max(bleus[2:]) < 20
    few = [Pair("w " * 8, right[0])] * 12  # too few for a class of their own
    with_few = by_length([*wrong, *right[:12]], [*pairs, *few], "13a", 99)
    assert [one.sentences for one in with_few] == [33, 33, 32, 44]
    assert with_few[-1].length == (32 * 4 + 12 * 8) / 44


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run that knows its few sentences by heart."""
    run = tmp_path_factory.mktemp("trained") / "run"
    options = {"epochs": 40, "hidden_size": 16, "embedding_size": 12, "dropout": 0.0}
    options |= {"learning_rate": 3e-2, "batch_size": 16}
    words = _small_translation.arguments(data, run, **options)
    with pytest.MonkeyPatch.context() as patch:
        assert command(patch, translation, *words) == 0
    return run


@pytest.fixture
def tell(monkeypatch, capsys):
    """Runs the command line: exit status, standard output, standard error."""

    def run(*words):
        status = command(monkeypatch, translation, *words)
        return status, *capsys.readouterr()

    return run


def test_run_leaves_results_and_pictures(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"result.json", "translations.jsonl", "source.model", "target.model"} <= names
    records = read_journal(trained / "metrics.jsonl")
    for axes, metric in zip(
        _figures.drawn(trained / "curves.png").axes, ("loss", "accuracy"), strict=True
    ):
        dev = [[r["step"], r[metric]] for r in records if r["split"] == "dev"]
        assert dev in [points.tolist() for points in _figures.curves(axes)]
    *panels, _ = _figures.drawn(trained / "alignments.png").axes
    for axes in panels:
        (weights,) = _figures.images(axes)
        assert weights.shape == (len(axes.get_yticks()), len(axes.get_xticks()))
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
        read, written = (
            "".join(label.get_text() for label in labels).replace("_", " ").strip()
            for labels in (axes.get_xticklabels(), axes.get_yticklabels())
        )
        assert _small_translation.WORDS[read] == written


def test_sentences_are_translated_from_the_run_folder(trained, data, tell, tmp_path, monkeypatch):
    pairs = read_columns(data, Reading())["train"]
    sources = sorted({pair.source for pair in pairs})
    picture = tmp_path / "alignment.png"
    status, out, _ = tell("predict", "--run", trained, "--picture", picture, *sources)
    want = [" ".join(_small_translation.WORDS[word] for word in one.split()) for one in sources]
    right = sum(a == b for a, b in zip(out.splitlines(), want, strict=True))
    assert status == 0 and right >= 0.8 * len(want)
    assert len(_figures.drawn(picture).axes) == len(sources) + len(sources) % 2 + 1
    standard_input(monkeypatch, "".join(f"{one}\n" for one in sources).encode())
    assert tell("predict", "--run", trained)[1] == out
    records = map(json.loads, tell("predict", "--run", trained, "--json", *sources)[1].splitlines())
    pairs = zip(sources, out.splitlines(), strict=True)
    assert [*records] == [{"source": source, "translation": found} for source, found in pairs]


def test_training_from_a_run_keeps_its_subwords(trained, tmp_path, monkeypatch):
    source, target = (write(tmp_path / name, f"{name} six\n" * 40) for name in "ab")
    files = ("--source", source, "--target", target)
    words = ("train", "--from", trained, *files, "--run", tmp_path / "run")
    with pytest.raises(AssertionError, match="status 1"):  # too few to split
        started_training(monkeypatch, translation, *words)
    for path in (source, target):
        write(path, "".join(f"one {number}\n" for number in range(40)))
    training = started_training(monkeypatch, translation, *words)
    assert grown_from(training, load_translator(RunFolder.open(trained)).params) == set()
    for name in ("source.model", "target.model"):
        assert (tmp_path / "run" / name).read_bytes() == (trained / name).read_bytes()


def test_evaluate_measures_other_files(trained, tell, tmp_path):
    source = write(tmp_path / "a", "one two\nthree\n")
    target = write(tmp_path / "b", "uno due\ntre\n")
    status, out, _ = tell("evaluate", "--run", trained, "--source", source, "--target", target)
    assert status == 0 and "BLEU" in out and "greedy" in out and "sacreBLEU nrefs:1" in out
    status, _, err = tell("evaluate", "--run", trained, "--source", source)
    assert status == 1 and "Give --source and --target together" in err


def test_lengths_compares_runs(trained, tell, tmp_path):
    picture = tmp_path / "lengths.png"
    status, out, _ = tell("lengths", "--runs", trained, trained, "--picture", picture)
    assert status == 0 and out.count("multiplicative:") == 2
    (axes,) = _figures.drawn(picture).axes
    *_, median = _figures.curves(axes)
    shown = ", ".join(f"{length:.1f} words {bleu:.1f}" for length, bleu in median)
    assert out.count(f"multiplicative: {shown}\n") == 2


def test_model_is_static():
    config = TranslationConfig()
    assert isinstance(config.model, Translator) and hash(config.model) == hash(config.model)
