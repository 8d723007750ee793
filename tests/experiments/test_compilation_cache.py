"""Compiled programs are kept between commands, and change no result."""

import collections
import dataclasses
import sys

import jax
import jax.numpy as jnp
import pytest

from experiments.memory_tasks import __main__ as memory_tasks
from experiments.runner.run import compilation_cache
from experiments.runner.run.command_line import run_command
from tests.experiments._commands import command, options
from tests.experiments.test_memory_tasks import SMALL

KEPT, FOUND = (f"/jax/compilation_cache/cache_{name}" for name in ("misses", "hits"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache; nothing is compiled yet in this process either."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    jax.config.update("jax_enable_compilation_cache", True)
    jax.clear_caches()
    yield compilation_cache.folder_of("tool")
    jax.config.update("jax_enable_compilation_cache", False)
    assert jax.config.jax_compilation_cache_dir is None


@pytest.fixture
def events():
    """How often JAX told of each event."""
    counts = collections.Counter()
    count = lambda name, **_: counts.update([name])  # noqa: E731
    jax.monitoring.register_event_listener(count)
    yield counts
    jax.monitoring.unregister_event_listener(count)


@dataclasses.dataclass(frozen=True)
class Tool:
    """Computes something."""

    size: int = 3

    def run(self):
        f = jax.jit(lambda xs: jnp.tanh(xs) @ xs.T)
        print(float(f(jnp.linspace(0.0, 1.0, self.size**2).reshape(self.size, -1)).sum()))


def run_tool(monkeypatch, size=3):
    jax.clear_caches()
    monkeypatch.setattr(sys, "argv", ["tool", f"--size={size}"])
    run_command("tool", Tool, "")


def test_second_training_compiles_nothing_and_is_the_same(tmp_path, monkeypatch, folder, events):
    journals, counts = [], []
    for name, is_on in (("without", False), ("first", True), ("second", True)):
        jax.config.update("jax_enable_compilation_cache", is_on)
        jax.clear_caches()
        events.clear()
        words = options(run=tmp_path / name, **SMALL)
        assert command(monkeypatch, memory_tasks, "train", *words) == 0
        journals.append((tmp_path / name / "metrics.jsonl").read_text())
        counts.append((events[KEPT], events[FOUND]))
    assert journals[0] == journals[1] == journals[2]
    assert counts[0] == (0, 0) and counts[1][0] > 5
    assert counts[2] == (0, sum(counts[1]))


def test_damaged_program_is_compiled_again_and_that_is_said(folder, monkeypatch, capsys, events):
    run_tool(monkeypatch)
    value, said = capsys.readouterr()
    assert said == ""
    for path in folder.glob("jit__lambda*-cache"):
        path.write_bytes(path.read_bytes()[:100])
    run_tool(monkeypatch)
    again, said = capsys.readouterr()
    assert again == value and "The compiled program jit__lambda" in said and str(folder) in said
    assert said.count("\n") == 1
    events.clear()
    run_tool(monkeypatch)
    assert capsys.readouterr() == (value, "") and events[KEPT] == 0


def test_what_a_killed_command_left_is_removed(folder, monkeypatch, capsys):
    run_tool(monkeypatch)
    (times,) = folder.glob("jit__lambda*-atime")
    times.unlink()
    run_tool(monkeypatch, size=4)
    assert capsys.readouterr().err == ""
    assert len([*folder.glob("*-cache")]) == len([*folder.glob("*-atime")])
    assert not times.exists()


def test_folder_that_cannot_be_made_is_said(folder, monkeypatch, capsys):
    folder.parent.mkdir(parents=True)
    folder.write_text("a file")
    run_tool(monkeypatch)
    value, said = capsys.readouterr()
    assert float(value) > 0 and said.startswith(f"Compiled programs cannot be kept in {folder}: ")


def test_cache_has_a_bound(folder, monkeypatch):
    monkeypatch.setitem(compilation_cache._SETTINGS, "jax_compilation_cache_max_size", 20_000)
    for size in range(3, 8):
        run_tool(monkeypatch, size)
    sizes = [path.stat().st_size for path in folder.glob("*-cache")]
    assert 0 < sum(sizes) <= 20_000


def test_cache_of_the_callers_own_is_left_alone(folder, tmp_path, monkeypatch):
    own = tmp_path / "own"
    jax.config.update("jax_compilation_cache_dir", str(own))
    try:
        run_tool(monkeypatch)
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
    assert not folder.exists()


def test_processors_with_other_instructions_have_other_folders(monkeypatch, folder):
    monkeypatch.setattr(compilation_cache, "_instructions", lambda: "flags: sse2")
    assert compilation_cache.folder_of("tool") != folder
