"""The benchmark of the cache of compiled programs: which runs it makes, and what it counts."""

import itertools
import json
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from benchmarks import cached_runs


@pytest.fixture
def runs(monkeypatch):
    """Stands for the processes: what each was started with, and which metrics it leaves."""
    made = SimpleNamespace(started=[], metrics=["a", "a", "a"], status=0)

    def run(words, *, env, **_):
        number = len(made.started)
        made.started.append((words[3:], env))
        folder = Path(words[-1])
        folder.mkdir()
        (folder / "metrics.jsonl").write_text(made.metrics[number])
        row = {"cpu_s": 10.0 + number, "compiled": 7 - number, "found": number}
        Path(words[4]).write_text(json.dumps(row))
        return SimpleNamespace(returncode=made.status, stderr="a reason")

    seconds = itertools.chain([0, 1.25, 10, 12.5, 20, 23], itertools.count(30))
    monkeypatch.setattr(subprocess, "run", run)
    clock = SimpleNamespace(perf_counter=lambda: next(seconds))
    monkeypatch.setattr(cached_runs, "time", clock)
    return made


def test_three_runs_without_with_an_empty_and_with_a_full_cache(runs, capsys):
    cached_runs.main(["--command", "m train --fast"])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "no cache: 1.2, 10.0, 7, 0",
        "empty cache: 2.5, 11.0, 6, 1",
        "full cache: 3.0, 12.0, 5, 2",
    ]
    words, environments = zip(*runs.started, strict=True)
    assert {(*each[2:5], each[5]) for each in words} == {("m", "train", "--fast", "--run")}
    assert len({each[-1] for each in words}) == 3  # a folder for each
    uses = [each["JAX_ENABLE_COMPILATION_CACHE"] for each in environments]
    assert uses == ["false", "true", "true"]
    assert len({each["XDG_CACHE_HOME"] for each in environments}) == 1


def test_other_metrics_and_a_failure_are_refused(runs, tmp_path):
    runs.metrics[2] = "b"
    with pytest.raises(RuntimeError, match="with full cache has other metrics"):
        list(cached_runs.measure(["m"], tmp_path))
    runs.status, runs.started[:] = 1, []
    (tmp_path / "again").mkdir()
    with pytest.raises(RuntimeError, match="with no cache failed: a reason"):
        list(cached_runs.measure(["m"], tmp_path / "again"))


def test_programs_that_are_compiled_are_counted(monkeypatch, tmp_path):
    @jax.jit
    def program(x):
        return jnp.sin(x) * 3

    x = jax.device_put(jnp.arange(5.0))

    def run_module(name, **_):
        assert name == "m" and cached_runs.sys.argv == ["m", "train"]
        jax.block_until_ready((program(x), program(x), program(x[:3])))

    program(x[:3]).block_until_ready()  # compiled before
    monkeypatch.setattr(cached_runs.sys, "argv", [])
    monkeypatch.setattr(runpy, "run_module", run_module)
    cached_runs.count(tmp_path / "a.json", "m", "train")
    row = json.loads((tmp_path / "a.json").read_text())
    assert (row["compiled"], row["found"]) == (1, 0) and row["cpu_s"] > 0
