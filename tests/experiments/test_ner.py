"""The commands of named entities, on a little text of Chinese characters."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.ner import __main__ as ner
from experiments.ner import model as ner_training
from experiments.ner.config import EntityConfig
from experiments.ner.model import TrainedEntityTagger
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.folder import RunFolder
from experiments.words.config import WordSettings
from tests import _figures
from tests.experiments._commands import command, options
from tests.experiments._small_entities import CHINESE, TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.bmes"
    path.write_text(CHINESE * 6, encoding="utf-8")
    others = "".join(CHINESE.replace("在", other) for other in "去到离")
    path.with_name("train.bmes").write_text(others, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The folder of a run, started with vectors of a file."""
    folder = tmp_path_factory.mktemp("run")
    vectors = folder / "vectors.txt"
    vectors.write_text("京 1 2 3\n沪 4 5 6\n", encoding="utf-8")
    files = {"train": data.with_name("train.bmes"), "test": data, "vectors": vectors}
    with pytest.MonkeyPatch.context() as patch:
        words = options(**TINY, **files, run=folder / "run")
        assert command(patch, ner, "train", *words) == 0
    vectors.unlink()
    return folder / "run"


def test_training_leaves_its_findings(trained, data):
    files = {"predictions.tsv", "mistakes.txt", "curves.png", "confusion.png", "vocabulary.json"}
    assert files <= {path.name for path in trained.iterdir()}
    metrics = json.loads((trained / "result.json").read_text())["metrics"]
    assert metrics.keys() == {"f1", "precision", "recall", "f1_LOC", "f1_PER"}
    rows = (trained / "predictions.tsv").read_text(encoding="utf-8").split("\n")
    assert [row.split("\t")[:2] for row in rows[:2]] == [["王", "B-PER"], ["小", "M-PER"]]
    assert ner_training.load_tagger(RunFolder.open(trained)).vocabulary.counts["沪"] == 0


def test_evaluation_is_that_of_the_training(trained, monkeypatch, capsys):
    assert command(monkeypatch, ner, "evaluate", "--run", trained) == 0
    out = capsys.readouterr().out
    metrics = json.loads((trained / "result.json").read_text())["metrics"]
    assert f"{metrics['f1']:.2%}" in out and "12 sentences, 42 words" in out


def test_prediction_takes_every_character_for_a_word(trained, monkeypatch, capsys):
    assert command(monkeypatch, ner, "predict", "--run", trained, "小明在京") == 0
    words, tags = capsys.readouterr().out.splitlines()
    assert words.split() == list("小明在京") and len(tags.split()) == 4
    marked = "王\ufe00が\u3099 京"
    assert command(monkeypatch, ner, "predict", "--run", trained, marked) == 0
    assert capsys.readouterr().out.split("\n")[0].split() == ["王\ufe00", "が\u3099", "京"]
    assert command(monkeypatch, ner, "predict", "--run", trained, "京", " ") == 1
    assert capsys.readouterr().err.startswith("error: Sentence 2 is empty: ")


def test_entities_are_in_the_json_record(trained, monkeypatch, capsys):
    told = ("predict", "--run", trained, "--json", "王小明在京")
    tags = ["B-PER", "I-PER", "I-PER", "O", "B-LOC"]
    monkeypatch.setattr(TrainedEntityTagger, "tag", lambda self, sentences: [tags])
    assert command(monkeypatch, ner, *told) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["words"] == [*"王小明在京"] and record["tags"] == tags
    assert record["entities"] == [
        {"start": 0, "end": 3, "label": "PER", "text": "王小明"},
        {"start": 4, "end": 5, "label": "LOC", "text": "京"},
    ]


def test_answers_of_any_system_are_scored(data, tmp_path, monkeypatch, capsys):
    answers = tmp_path / "answers"
    answers.write_text((CHINESE * 6).replace("S-LOC", "E-LOC").replace("E-PER", "O"))
    assert command(monkeypatch, ner, "score", data, answers) == 0
    out = capsys.readouterr().out
    assert [out.count(share) for share in (" 100.00%", " 50.00%", " 0.00%")] == [3, 3, 3]


def test_every_option_of_entities_is_tested():
    names = {field.name for field in dataclasses.fields(EntityConfig)}
    own = names - {field.name for field in dataclasses.fields(WordSettings)}
    assert own == {
        *("train", "dev", "test"),
        *("vectors", "max_vectors", "vectors_encoding"),  # in test_word_vectors
        *("word_column", "tag_column", "scheme", "crf", "recall_cost", "encoding", "strict"),
    }


def test_comparison_trains_every_network(tmp_path, monkeypatch, capsys):
    def train(experiment, config, path):
        folder = experiment.start(config, path, {})
        f1 = 0.2 + 0.1 * config.crf + 0.1 * (config.direction == "both")
        metrics = {"f1": f1, "precision": 0.5, "recall": 0.5}
        (path / "result.json").write_text(json.dumps({"metrics": metrics}))
        record = {"step": 1, "split": "dev", "f1": f1}
        (path / "metrics.jsonl").write_text(json.dumps(record) + "\n")
        return folder

    monkeypatch.setattr(Experiment, "train", train)
    picture = tmp_path / "f1.png"
    words = ["compare", "--seeds", 1, 2, "--runs", tmp_path, "--picture", picture]
    assert command(monkeypatch, ner, *words) == 0
    out = capsys.readouterr().out
    assert [out.count(f"{share}0.00% ± 0.00%") for share in (4, 3, 2, 5)] == [1, 2, 1, 8]
    (axes,) = _figures.drawn(picture).axes
    shares = {"crf, both directions": 0.4, "crf, forwards only": 0.3}
    shares |= {"no crf, both directions": 0.3, "no crf, forwards only": 0.2}
    found = _figures.named(axes)
    assert found.keys() == {f"{name}: {share:.1%}" for name, share in shares.items()}
    for name, share in shares.items():
        np.testing.assert_allclose(found[f"{name}: {share:.1%}"], [[[1, share]]] * 2)
