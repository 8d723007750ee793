"""Run folders and command lines of an earlier version, commit 150fd09, go on working.

`old_runs.tar.xz` holds tiny runs that this commit trained, each with the data, and in evaluate.txt
what it printed of them. `old_options.txt` has the options of each of its commands.
"""

import collections
import importlib
import json
import pathlib
import re
import runpy
import sys
import tarfile

import pytest

import experiments
from experiments.runner.run.folder import RunFolder
from tests.experiments._commands import command
from tests.experiments._trainings import grown_from, started_training

HERE = pathlib.Path(__file__).parent
EXPERIMENTS = pathlib.Path(experiments.__file__ or "").parent
RUNS = {  # run folder: experiment, and the command within it
    "pos_tagging/run": ("pos_tagging",),
    "ner/run": ("ner",),
    "sentiment/run": ("sentiment",),
    "char_lm/run": ("char_lm",),
    "bilm_leakage/run": ("bilm_leakage",),
    "time_series/classify": ("time_series", "classify"),
    "time_series/impute": ("time_series", "impute"),
}
OPTIONS = dict(
    line.split(":") for line in (HERE / "old_options.txt").read_text().splitlines() if line
)


LOADERS = {
    "pos_tagging": "pos_tagging.model:load_tagger",
    "ner": "ner.model:load_tagger",
    "sentiment": "sentiment.model:load_classifier",
    "char_lm": "characters.training:load_model",
    "bilm_leakage": "bilm_leakage.training:load_sides",
    "time_series/classify": "time_series.classify.model:load_classifier",
    "time_series/impute": "time_series.impute.model:load_imputer",
}
NEW_DATA = {  # run folder: option, file, what is new in it, parameters that grow
    "pos_tagging/run": ("train", "small.tsv", ("\tNOUN", "\tTHING"), "tagger.w tagger.b"),
    "ner/run": ("train", "small.tsv", ("Ann\tB-PER", "Zoe\tB-ORG"), "crf.transitions words.words"),
    "sentiment/run": ("train", "small.tsv", ("\tgood\t", "\tfine\t"), "classifier.b"),
    "char_lm/run": ("text", "small.txt", ("mat", "m@t"), "rnn.0.rnn.w_x w b"),
    "bilm_leakage/run": ("text", "small.txt", ("mat", "m@t"), "rnn.fwd.0.rnn.w_x w b"),
    "time_series/classify": ("train", "train.ts", ("", ""), ""),
    "time_series/impute": ("table", "table.csv", ("", ""), ""),
}


def main_of(experiment):
    return importlib.import_module(f"experiments.{experiment}.__main__")


def numbers(text):
    """How often each number with a decimal point is in a text."""
    return collections.Counter(re.findall(r"\d+\.\d+%?", text))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(HERE / "old_runs.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("run", [name for name in RUNS if name != "bilm_leakage/run"])
def test_old_run_is_evaluated_as_it_was(run, runs, monkeypatch, capsys):
    experiment, *group = RUNS[run]
    path = runs / run
    monkeypatch.chdir(path.parent)
    assert command(monkeypatch, main_of(experiment), *group, "evaluate", "--run", path.name) == 0
    missing = numbers((path / "evaluate.txt").read_text()) - numbers(capsys.readouterr().out)
    assert not missing, "evaluate no longer prints these numbers"


@pytest.mark.parametrize("run", RUNS)
def test_old_run_is_taken_up_by_its_command(run, runs, monkeypatch):
    path = runs / run
    (path / "result.json").unlink()  # so that it counts as unfinished

    monkeypatch.chdir(path.parent)
    _, *words = json.loads((path / "environment.json").read_text())["command"]
    assert started_training(monkeypatch, main_of(RUNS[run][0]), *words)


@pytest.mark.parametrize("run", RUNS)
def test_training_from_an_old_run_begins_with_its_parameters(run, runs, tmp_path, monkeypatch):
    monkeypatch.chdir((runs / run).parent)
    option, file, (word, new), names = NEW_DATA[run]
    (tmp_path / file).write_text(pathlib.Path(file).read_text().replace(word, new))
    words = ("train", "--from", runs / run, "--run", tmp_path / "new")
    words += (f"--{option.replace('_', '-')}", tmp_path / file)
    experiment, *group = RUNS[run]
    training = started_training(monkeypatch, main_of(experiment), *group, *words)
    module, load = LOADERS["/".join(RUNS[run])].split(":")
    loaded = getattr(importlib.import_module(f"experiments.{module}"), load)
    grown = grown_from(training, loaded(RunFolder.open(runs / run)).params)
    assert {*names.split()} <= grown and bool(grown) == bool(names)


@pytest.mark.parametrize("experiment", sorted({name.split()[0] for name in OPTIONS}))
def test_old_options_are_still_there(experiment, monkeypatch, capsys):
    program = EXPERIMENTS / experiment / "__main__.py"
    path = program if program.exists() else program.parent.with_suffix(".py")
    for name, options in OPTIONS.items():
        if name.split()[0] == experiment:
            monkeypatch.setattr(sys, "argv", ["", *name.split()[1:], "--help"])
            with pytest.raises(SystemExit) as leaving:
                runpy.run_path(str(path), run_name="__main__")
            found = re.findall(r"--[\w-]+", capsys.readouterr().out)
            assert leaving.value.code == 0
            assert not set(options.split()) - set(found), name
