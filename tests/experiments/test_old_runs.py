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
from experiments.runner.run import loop
from tests.experiments._commands import command

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


class Reached(Exception):
    """The training of a run would begin."""


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

    def fit(folder, training, console):
        raise Reached

    monkeypatch.setattr(loop, "fit", fit)
    monkeypatch.chdir(path.parent)
    _, *words = json.loads((path / "environment.json").read_text())["command"]
    with pytest.raises(Reached):
        command(monkeypatch, main_of(RUNS[run][0]), *words)


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
