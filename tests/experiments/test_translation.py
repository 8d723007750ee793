"""Translation: what is read and refused, the model step by step, and the commands."""

import dataclasses
import io

import pytest

from experiments.translation import __main__ as translation
from experiments.translation.config import TranslationConfig
from experiments.translation.data import (
    Pair,
    divide,
    part_of,
    read_columns,
    read_pairs,
    read_parallel,
)
from experiments.translation.encoding import learn_lexicon
from experiments.translation.model import Translator
from experiments.translation.scores import by_length, score
from experiments.translation.subwords import BEGIN, END, UNKNOWN, Subwords
from experiments.translation.training import make_training
from tests.experiments import _small_translation
from tests.experiments._commands import command
from tests.experiments._computed import computed

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
    parts = read_pairs(config)
    return computed(make_training(config, learn_lexicon(config, parts["train"]), parts))


@pytest.fixture(scope="module")
def usually_computed(data):
    return computed_by(_small_translation.config(data))


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(TranslationConfig)}
    in_other_tests = {"patience", "epochs_per_evaluation"}
    searched = {"beam_width", "length_penalty", "bleu_tokens"}
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
        ({"dev_source": "a", "dev_target": "b"}, "must be given together, and with source"),
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
        read_parallel(source, target)


def test_parallel_files_lose_nothing_but_empty_pairs(tmp_path, capsys):
    pairs = read_parallel(write(tmp_path / "a", "x\n\n z\n"), write(tmp_path / "b", "1\n\n2\n"))
    assert pairs == [Pair("x", "1"), Pair("z", "2")]
    assert "1 empty lines are left out" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ValueError, match="b, line 2: the target sentence is empty"):
        read_parallel(write(tmp_path / "a", "x\ny\n"), write(tmp_path / "b", "1\n\n"))
    with pytest.raises(ValueError, match="are empty: there is no pair"):
        read_parallel(write(tmp_path / "a", "\n"), write(tmp_path / "b", "\n"))


def test_columns_with_and_without_parts(tmp_path):
    lines = "dev\tx\t1\tme\ntest\ty\t2\nother\tz\t3\n"
    with pytest.raises(ValueError, match=r"line 3: 'other' is not train, dev or test"):
        read_columns(write(tmp_path / "a", lines))
    parts = read_columns(write(tmp_path / "b", "x\t1\tme\ny\t2\nx\t3\n"))
    assert sorted(pair for pairs in parts.values() for pair in pairs) == [
        Pair("x", "1"),
        Pair("x", "3"),
        Pair("y", "2"),
    ]
    with pytest.raises(ValueError, match=r"line 2: 1 tab-separated column\(s\), but source"):
        read_columns(write(tmp_path / "c", "x\t1\ny\n"))
    with pytest.raises(ValueError, match=r"line 1: the target sentence is empty"):
        read_columns(write(tmp_path / "d", "x\t \n"))
    with pytest.raises(ValueError, match="no pair of sentences for dev"):
        read_pairs(TranslationConfig(data=write(tmp_path / "e", "train\tx\t1\ntest\ty\t2\n")))


def test_a_source_sentence_is_in_one_part_only():
    pairs = [Pair(f"sentence {i // 2}", str(i)) for i in range(400)]
    parts = divide(pairs)
    sources = [{pair.source for pair in part} for part in parts.values()]
    assert sum(map(len, sources)) == 200 and sum(map(len, parts.values())) == 400
    assert all(len(part) > 15 for part in sources)
    assert part_of(" sentence 1 ") == part_of("sentence 1")


def test_subwords_come_back_as_the_sentence(data):
    train = read_columns(data)["train"]
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


def test_scores_are_those_of_sacrebleu_and_classes_hold_every_sentence():
    pairs = [Pair("w " * (1 + i % 4), "the cat sat on the mat") for i in range(130)]
    right = [pair.target for pair in pairs]
    assert score(right, right, "13a")[:2] == pytest.approx((100.0, 100.0))
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
    for picture in "curves.png", "alignments.png":
        assert (trained / picture).stat().st_size > 10_000


def test_sentences_are_translated_from_the_run_folder(trained, data, tell, tmp_path, monkeypatch):
    pairs = read_columns(data)["train"]
    sources = sorted({pair.source for pair in pairs})
    picture = tmp_path / "alignment.png"
    status, out, _ = tell("predict", "--run", trained, "--picture", picture, *sources)
    want = [" ".join(_small_translation.WORDS[word] for word in one.split()) for one in sources]
    right = sum(a == b for a, b in zip(out.splitlines(), want, strict=True))
    assert status == 0 and right >= 0.8 * len(want) and picture.exists()
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{one}\n" for one in sources)))
    assert tell("predict", "--run", trained)[1] == out
    assert tell("predict", "--run", trained, "one", " ")[::2] == (
        1,
        "error: Sentence 2 is empty: there is nothing to translate.\n",
    )


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
    assert status == 0 and out.count("multiplicative:") == 2 and picture.exists()


def test_model_is_static():
    config = TranslationConfig()
    assert isinstance(config.model, Translator) and hash(config.model) == hash(config.model)
