"""The classifier of sentences: what it reads, its readouts, its baseline, and its commands."""

import json
import pathlib

import jax
import numpy as np
import pytest
from rich.console import Console

from experiments.runner.data.batches import flat_batch
from experiments.runner.data.parts import folds
from experiments.runner.data.reading import Reading
from experiments.runner.run.experiment import Experiment
from experiments.sentiment import __main__ as sentiment
from experiments.sentiment import data as sentiment_data
from experiments.sentiment.baseline import bag_of_words
from experiments.sentiment.config import TextConfig
from experiments.sentiment.data import (
    Text,
    build_text_vocabulary,
    encode_texts,
    read_texts,
)
from experiments.sentiment.model import Judged, attention, classify, init_params
from experiments.sentiment.report import show, weighty_words
from experiments.words.segments import split_text
from tests.experiments import _small_tagging
from tests.experiments._commands import command, options

pytestmark = pytest.mark.slow

TINY = _small_tagging.OPTIONS | {"epochs": 2}
QUIET = Console(quiet=True)
scores = jax.jit(classify, static_argnames="model")
weigh = jax.jit(attention, static_argnames="model")


def texts_of(*rows):
    return [Text(text, split_text(text), label) for label, text in rows]


TEXTS = texts_of(("good", "A fine film !"), ("bad", "So dull and dull"), ("good", "Fine"))


def write(folder, content, name="data.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("good\tA fine film !\nbad\tSo dull and dull\ngood\tFine\n", None),
        ("good A fine film !\r\n\r\nbad So dull and dull\r\ngood  Fine", None),
        ("dev\tgood\tx\tA fine film !\ndev\tbad\ty\tSo dull and dull\ndev\tgood\tx\tFine", "dev"),
    ],
    ids=["tabs", "blanks", "parts"],
)
def test_reader_reads_labels_and_texts(tmp_path, content, part):
    reading = Reading()
    assert read_texts(write(tmp_path, content), "words", reading) == {part: TEXTS}
    said = ["line 2: an empty line; left out" in one for one in reading.sentences()]
    assert said == [True] * ("\r" in content)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("\n \n", "is empty"),
        ("good\ta\nbad\n", "line 2: 1 column.* before have 2"),
        ("good\ta\tb\n", "line 1: 3 tab-separated columns"),
        ("good\n", "line 1: one column only"),
        ("good\t \n", "has no text with a word in it"),
        ("good\ta\n\tdull\n", "line 2: the label is missing"),
        ("train\tgood\tx\ta\nextra\tbad\tx\tb\n", "line 2: 'extra' is none of train, dev, test"),
        ("__label__a x\nb y\n", "line 2: no label such as __label__good"),
        ("__label__a x\n__label__b __label__c y\n", "line 2: several labels"),
        ("label\ttext\n", "has nothing below its header line"),
        (b"good\tna\xefve\n", "line 1: not UTF-8"),
        ("".join(f"text {i}\t{i} a\n" for i in range(30)), "30 labels in 30 lines: is there"),
    ],
)
def test_reader_refuses_with_file_and_line(tmp_path, content, sentence):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=sentence) as refusal:
        read_texts(path, "words", Reading())
    assert str(path) in str(refusal.value)


def test_folds_hold_everything_once():
    parts = folds(23, 4)
    assert sorted(i for part in parts for i in part) == list(range(23))
    assert parts == folds(23, 4) and {*map(len, parts)} == {5, 6}
    assert sorted(parts[0]) != list(range(0, 23, 4))


def test_cross_validation_tests_on_every_text_once(tmp_path):
    path = write(tmp_path, "".join(f"{i % 2}\tword{i} a\n" for i in range(24)))
    tested = []
    for fold in range(3):
        config = TextConfig(**TINY, train=path, folds=3, fold=fold)
        parts = sentiment_data.read_data(config, Reading())
        assert [len(parts[name]) for name in ("train", "dev", "test")] == [14, 2, 8]
        assert not {*parts["train"], *parts["dev"]} & {*parts["test"]}
        tested += [text.text for text in parts["test"]]
    assert len({*tested}) == 24
    with pytest.raises(ValueError, match="24 texts, too few for 25 folds"):
        sentiment_data.read_data(TextConfig(train=path, folds=25), Reading())


@pytest.mark.parametrize("changes", [{"folds": 3, "fold": 3}, {"folds": 1}])
def test_impossible_folds_are_refused(changes):
    with pytest.raises(ValueError, match="folds cannot be tested on"):
        TextConfig(**changes)


@pytest.fixture(scope="module")
def judged_by():
    """Logits and parameters of a model with each readout, and its batch."""
    vocabulary = build_text_vocabulary(TEXTS)

    def make(readout):
        config = TextConfig(**TINY, readout=readout)
        params = init_params(config, vocabulary, jax.random.key(0))
        examples = encode_texts(config, vocabulary, [TEXTS[i] for i in (2, 0, 1)])
        batch = flat_batch(examples, batch_size=4, length=6)
        return config.model(), params, batch

    return make


def test_readouts_differ(judged_by):
    readouts = ("final", "mean", "max", "attention")
    logits = [np.asarray(scores(*judged_by(readout), None)) for readout in readouts]
    assert all(not np.allclose(a, b) for i, a in enumerate(logits) for b in logits[:i])
    assert all(len(np.unique(one[:3].round(5), axis=0)) == 3 for one in logits)


def test_attention_is_that_of_the_readout(judged_by):
    model, params, batch = judged_by("attention")
    weights = np.asarray(weigh(model, params, batch))
    np.testing.assert_allclose(weights.sum(axis=1), [1, 1, 1, 0], atol=1e-6)
    assert (weights[np.arange(6)[None] >= batch["lengths"][:, None]] == 0).all()
    even = params.classifier.attention._replace(v=0 * params.classifier.attention.v)
    flat = params._replace(classifier=params.classifier._replace(attention=even))
    np.testing.assert_allclose(weigh(model, flat, batch)[1, :4], 1 / 4, atol=1e-6)
    mean_model, mean_params, _ = judged_by("mean")
    mean_params = mean_params._replace(classifier=flat.classifier._replace(attention=None))
    np.testing.assert_allclose(
        scores(model, flat, batch, None),
        scores(mean_model, mean_params, batch, None),
        atol=1e-6,
    )


def test_words_are_shown_with_their_attention():
    text = TEXTS[1]
    judged = Judged(text, "bad", 0.75, [0.1, 0.6, 0.2, 0.1])
    assert show(judged) == "bad (75%): So dull and dull\n  rests on dull 60%"
    assert show(judged._replace(weights=None)) == "bad (75%): So dull and dull"
    several = [judged] * 3 + [judged._replace(label="good", weights=[0.7, 0.1, 0.1, 0.1])] * 3
    words = weighty_words(several)
    assert words["bad"] == ["dull", "and", "so"] and words["good"][0] == "so"


def test_baseline_knows_words_and_pairs():
    train = texts_of(
        *[("good", "not bad"), ("bad", "bad"), ("good", "good"), ("bad", "not good")] * 9
    )
    assert bag_of_words(
        train, train, texts_of(("", "not bad"), ("", "not good"), ("", "good"))
    ) == [*("good", "bad", "good")]


def test_classifier_is_trained_evaluated_and_used(tmp_path, monkeypatch, capsys):
    rows = [
        f"{'good' if i % 2 else 'bad'} {'fine' if i % 2 else 'dull'} word{i}\n" for i in range(20)
    ]
    data = write(tmp_path, "".join(rows))
    folder = tmp_path / "run"
    files = {"train": data, "dev": data, "test": data}
    assert command(monkeypatch, sentiment, "train", *options(**TINY, **files, run=folder)) == 0
    trained = capsys.readouterr().out
    expected = {"predictions.tsv", "mistakes.txt", "curves.png", "confusion.png", "attention.png"}
    assert expected <= {path.name for path in folder.iterdir()}
    metrics = json.loads((folder / "result.json").read_text())["metrics"]
    assert metrics["bag_of_words"] == 1.0 and 0 <= metrics["accuracy"] <= 1
    assert command(monkeypatch, sentiment, "train", *options(**TINY, **files, run=folder)) == 0
    assert "has its result" in capsys.readouterr().out
    assert command(monkeypatch, sentiment, "evaluate", "--run", folder) == 0
    assert f"{metrics['accuracy']:.2%}" in capsys.readouterr().out and "by words and" in trained
    data.unlink()
    assert (
        command(monkeypatch, sentiment, "predict", "--run", folder, "fine words", "So dull ...")
        == 0
    )
    out = capsys.readouterr().out
    assert out.count("rests on") == 2 and "%): fine words\n" in out
    told = ("predict", "--run", folder, "--json", "fine words", "So dull ...")
    assert command(monkeypatch, sentiment, *told) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    for record, text in zip(records, out.split("\n")[::2], strict=False):
        share = f"{record['probability']:.0%}"
        assert text == f"{record['label']} ({share}): {record['text']}"
        assert sum(record["attention"]) == pytest.approx(1)
        assert len(record["words"]) == len(record["attention"]) > 1
    assert command(monkeypatch, sentiment, "predict", "--run", folder, "fine", " ") == 1
    assert "Text 2 is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["compare", "--seeds", "3", "4"], {"attention-seed3", "final-state-forwards-only-seed4"}),
        (["cross-validate", "--folds", "2"], {"fold0-of-2-seed0", "fold1-of-2-seed0"}),
    ],
    ids=["compare", "cross-validate"],
)
def test_several_runs_are_trained_and_told(tmp_path, monkeypatch, capsys, words, names):
    def train(experiment, config, path):
        folder = experiment.start(config, path, {})
        metrics = {"accuracy": 0.5 + config.fold / 4, "bag_of_words": 0.25}
        (path / "result.json").write_text(json.dumps({"metrics": metrics}))
        return folder

    monkeypatch.setattr(Experiment, "train", train)
    assert command(monkeypatch, sentiment, *words, "--runs", tmp_path) == 0
    assert names <= {path.name for path in pathlib.Path(tmp_path).iterdir()}
    out = capsys.readouterr().out
    assert ("62.50% ± 17.68%" if "--folds" in words else "50.00% ± 0.00%") in out
