"""A newcomer's first commands, each at its smallest size."""

import ast
import os
import pathlib
import subprocess
import sys

from experiments.pos_tagging import __main__ as pos_tagging
from tests.experiments import _small_tagging
from tests.experiments._commands import command

EXPERIMENTS = pathlib.Path(pos_tagging.__file__).parents[1]
FILES = {
    *("config.json", "environment.json", "metrics.jsonl", "clock.jsonl", "result.json"),
    *("vocabulary.json", "predictions.tsv", "mistakes.txt", "curves.png", "confusion.png"),
}


def start(*words):
    """Runs `python -m` in a new process; returns its standard output."""
    started = [sys.executable, "-m", *map(str, words)]
    environment = os.environ | {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(started, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tagger_is_trained_evaluated_and_used(tmp_path, monkeypatch, capsys):
    data, run = _small_tagging.write_data(tmp_path), tmp_path / "run"
    trained = start("experiments.pos_tagging", *_small_tagging.arguments(data, run, epochs=1))
    assert {path.name for path in run.iterdir()} == FILES | {"checkpoints"}
    assert command(monkeypatch, pos_tagging, "evaluate", "--run", run) == 0
    evaluated = capsys.readouterr().out
    assert "all words" in evaluated and evaluated.strip() in trained
    assert command(monkeypatch, pos_tagging, "predict", "--run", run, "I know .") == 0
    assert capsys.readouterr().out.split()[:3] == ["I", "know", "."]


def test_matplotlib_waits_for_a_picture():
    paths = [path for path in EXPERIMENTS.rglob("*.py") if path.name != "saving.py"]
    for path in paths:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                text = ast.unparse(node)
                assert "matplotlib" not in text and "pictures.saving" not in text, path
    assert len(paths) > 100
