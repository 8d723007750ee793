"""`make demo`: what it trains, what it writes, and that the files of the page are of it."""

import importlib
import json
import subprocess
from itertools import groupby

import jax
import pytest

import experiments
from birnn_jax.text import read_conll
from experiments.ner.config import EntityConfig
from experiments.ner.data import with_all_tags
from experiments.ner.model import TrainedEntityTagger
from experiments.ner.model import init_params as init_entity_tagger
from experiments.pos_tagging.config import TaggingConfig
from experiments.pos_tagging.model import TrainedTagger
from experiments.pos_tagging.model import init_params as init_tagger
from experiments.runner.run.commands import TrainCommand
from experiments.sentiment.config import TextConfig
from experiments.sentiment.data import Text, build_text_vocabulary
from experiments.sentiment.model import TrainedClassifier
from experiments.sentiment.model import init_params as init_classifier
from experiments.speech.config import SpeechConfig
from experiments.speech.model import TrainedListener, params_maker
from experiments.words.data import Sentence, build_vocabulary
from tests.experiments._commands import command
from website import demo


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Runs `make demo` without training; gives its commands, and the folder of the models."""
    commands = []

    def run(words, *, check, cwd):
        assert check and cwd == demo.ROOT
        commands.append([str(word) for word in words])
        if "export" in words:
            words[-1].mkdir()
            for name in (*demo.SHIPPED, "model.stablehlo"):
                (words[-1] / name).write_text(f"{name} of {words[2]}")

    def make(found, **changes):
        runs = tmp_path / "runs"
        for name, value in (
            {"DEMO": tmp_path, "RUNS": runs, "NAMES": runs / "names.tsv"} | changes
        ).items():
            monkeypatch.setattr(demo, name, value)
        monkeypatch.setattr(subprocess, "run", run)
        monkeypatch.setattr(demo, "expected", lambda: found)
        demo.make_models()
        return commands, tmp_path / "models"

    return make


def test_every_network_is_trained_exported_and_shipped(made, capsys):
    found = {"digits": demo.SPOKEN, "words": ["Zoë"]}
    commands, models = made(found)
    for name, (experiment, options) in demo.MODELS.items():
        run = str(demo.RUNS / name)
        module = f"experiments.{experiment}"
        train, export = [words[1:] for words in commands if run in words]
        assert train == ["-m", module, "train", "--run", run, *options.split()]
        assert export == ["-m", module, "export", "--run", run, "--to", f"{run}_exported"]
        assert {path.name for path in (models / name).iterdir()} == {*demo.SHIPPED}
        text = (models / name / "model.onnx").read_text()
        assert text == f"model.onnx of experiments.{experiment}"
    assert json.loads((models / "names.json").read_text()) == [*demo.MODELS]
    assert "Zoë" in (models / "expected.json").read_text(encoding="utf-8")
    assert "0.00 MB" in capsys.readouterr().out
    made(found)  # once more, over what is there


def test_names_are_the_proper_nouns_that_stand_together(tmp_path):
    demo.write_names(tmp_path / "names.tsv")
    for part, size in {"train": 2000, "dev": 400, "test": 400}.items():
        treebank, names = (
            read_conll(path, part=part) for path in (demo.TREEBANK, tmp_path / "names.tsv")
        )
        assert len(names) == size and [row for row, _ in names] == [row for row, _ in treebank]
        for (_, tags), (_, marks) in zip(treebank, names, strict=True):
            runs = [(key, len([*run])) for key, run in groupby(tags, lambda tag: tag == "PROPN")]
            wanted = [
                mark
                for is_name, count in runs
                for mark in (["B-NAME", *["I-NAME"] * (count - 1)] if is_name else ["O"] * count)
            ]
            assert [*marks] == wanted


def test_network_that_does_not_know_its_recording_is_not_shown(made):
    _, models = made({"digits": [*"314156"]})
    assert json.loads((models / "names.json").read_text()) == [
        name for name in demo.MODELS if name != "digits"
    ]


def test_networks_over_the_budget_are_refused(made):
    with pytest.raises(ValueError, match="bytes together, over 100"):
        made({"digits": demo.SPOKEN}, BUDGET=100)


@pytest.mark.parametrize("name", demo.MODELS)
def test_shipped_network_has_the_settings_of_its_command(name, monkeypatch, tmp_path):
    experiment, options = demo.MODELS[name]
    trained = []
    monkeypatch.setattr(TrainCommand, "run", lambda self: trained.append(self.config))
    module = importlib.import_module(f"experiments.{experiment}.__main__")
    words = ("train", "--run", tmp_path, *options.split())
    assert command(monkeypatch, module, *words) == 0
    shipped = json.loads((demo.DEMO / "models" / name / "config.json").read_text())["settings"]
    asked = json.loads(json.dumps(trained[0].values)).items()
    asked = {setting: value for setting, value in asked if value is not None}  # None: by the task
    known = asked.keys() & shipped.keys()
    assert {name: asked[name] for name in known} == {name: shipped[name] for name in known}
    assert len(known) > 15


def test_files_of_the_page_are_within_the_budget():
    sizes = [path.stat().st_size for path in demo.DEMO.glob("models/*/*")]
    assert len(sizes) == len(demo.MODELS) * len(demo.SHIPPED) and sum(sizes) <= demo.BUDGET


def test_page_says_how_well_names_are_found():
    expected = json.loads((demo.DEMO / "models" / "expected.json").read_text(encoding="utf-8"))
    page = (demo.DEMO / "index.html").read_text(encoding="utf-8")
    assert f"an F1 of {100 * expected['f1_of_entities']:.0f} %" in page


def test_expected_outputs_are_those_of_every_network(monkeypatch, tmp_path):
    """Of networks with random weights."""
    first, second, third, fourth = jax.random.split(jax.random.key(0), 4)
    tagging = TaggingConfig(hidden_size=4, word_size=3)
    tags = build_vocabulary([Sentence(("I", "know"), ("PRON", "VERB"), ())])
    texts = build_text_vocabulary([Text("I know", ("I", "know"), label) for label in "01"])
    judging, hearing = TextConfig(hidden_size=4), SpeechConfig(task="row", hidden_size=4)
    models = {
        "tagger": TrainedTagger(tagging, init_tagger(tagging, tags, first), tags),
        "sentiment": TrainedClassifier(judging, init_classifier(judging, texts, second), texts),
        "digits": TrainedListener(hearing, params_maker(hearing, 10)(third), [*"0123456789"]),
    }
    naming = EntityConfig(hidden_size=4, word_size=3)
    names = with_all_tags(build_vocabulary([Sentence(("I", "Zoë"), ("O", "B-NAME"), ())]), "BIO")
    models["entities"] = TrainedEntityTagger(
        naming, init_entity_tagger(naming, names, fourth), names
    )
    models["tagger_forward"] = models["tagger"]
    monkeypatch.setattr(demo, "RUNS", tmp_path)
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities" / "result.json").write_text('{"metrics": {"f1": 0.25, "recall": 0.5}}')
    monkeypatch.setattr(experiments, "from_pretrained", lambda path: models[path.name])
    found = demo.expected()
    monkeypatch.setattr(demo, "SPOKEN", [*found["digits"]])
    assert demo.choose_shown(demo.MODELS, found) == [*demo.MODELS]
    found = json.loads(json.dumps(found))
    shipped = json.loads((demo.DEMO / "models" / "expected.json").read_text(encoding="utf-8"))
    assert found.keys() == shipped.keys()
    assert (found["sentences"], found["words"]) == (shipped["sentences"], shipped["words"])
    assert found["f1_of_entities"] == 0.25
    for name in ("tagger", "tagger_forward", "entities"):
        assert [len(row) for row in found[name]] == [len(row) for row in shipped[name]]
    for (label, probability, weights), (_, _, others) in zip(
        found["sentiment"], shipped["sentiment"], strict=True
    ):
        assert label in "01" and 0.5 <= probability <= 1 and len(weights) == len(others)
    assert {*found["digits"]} <= {*"0123456789"}
