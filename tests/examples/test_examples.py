"""The programs of `examples/` learn small data; one that is killed ends as if it had not been."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
TAGS = {"the": "DET", "a": "DET", "dog": "NOUN", "cats": "NOUN", "saw": "VERB", "bit": "VERB"}


def write_conll(path, number, seed):
    """Sentences of 2 to 6 words, each of which has one tag, and now and then a word never seen."""
    rng = np.random.default_rng(seed)
    rows = [rng.choice([*TAGS], rng.integers(2, 7)) for _ in range(number)]
    path.write_text("\n".join("".join(f"{w}\t{TAGS[w]}\n" for w in row) for row in rows))
    return path


def run(monkeypatch, capsys, name, *arguments):
    """The accuracy that a program prints in the end."""
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    monkeypatch.syspath_prepend(EXAMPLES)
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    (accuracy,) = re.findall(r"^accuracy ([01]\.\d{4})$", capsys.readouterr().out, re.MULTILINE)
    return float(accuracy)


def test_tag_conll_learns_the_tags_of_three_files(tmp_path, monkeypatch, capsys):
    sizes = {"train": 32, "dev": 5, "test": 7}
    files = [
        write_conll(tmp_path / name, number, seed)
        for seed, (name, number) in enumerate(sizes.items())
    ]
    assert run(monkeypatch, capsys, "tag_conll.py", *files, "--epochs", 30) > 0.95


def test_classify_sentences_learns_the_word_that_tells(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(1)
    lines = []
    for part in ["train"] * 60 + ["dev"] * 4 + ["test"] * 9:
        words, word = [*rng.choice([*TAGS], rng.integers(2, 6))], rng.choice(["good", "bad"])
        words.insert(rng.integers(len(words) + 1), word)
        lines.append(f"{part}\t{'+' if word == 'good' else '-'}\tsource\t{' '.join(words)}\n")
    data = tmp_path / "texts.tsv"
    data.write_text("".join(lines))
    accuracy = run(monkeypatch, capsys, "classify_sentences.py", "--data", data, "--epochs", 40)
    assert accuracy > 0.95


def test_recognise_speech_gets_better(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLES)
    import digits

    monkeypatch.setattr(digits, "SIZES", {"train": 3, "dev": 2, "test": 2})
    run(monkeypatch, capsys, "recognise_speech.py", "--epochs", 4, "--run", tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if record["split"] == "train"]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_killed_tagger_ends_with_the_bits_of_an_unbroken_one(tmp_path):
    files = [write_conll(tmp_path / name, 40, seed) for seed, name in enumerate(("a", "b", "c"))]

    def start(name):
        command = [sys.executable, EXAMPLES / "tag_conll.py", *files, "--epochs", "8"]
        command += ["--run", tmp_path / name]
        environment = os.environ | {"JAX_PLATFORMS": "cpu"}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    def lines(name):
        path = tmp_path / name / "metrics.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    unbroken, _ = start("unbroken").communicate(timeout=300)
    process = start("killed")
    while len(lines("killed")) < 11 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    resumed, _ = start("killed").communicate(timeout=300)
    assert resumed.splitlines()[-1] == unbroken.splitlines()[-1]
    assert lines("killed") == lines("unbroken")
    assert len(lines("unbroken")) == 8 * 3  # two steps and an evaluation in each epoch
