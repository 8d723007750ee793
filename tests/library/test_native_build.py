"""The native library: how it is built at installation, and what is said where it cannot be."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax.ffi
import pytest

from birnn_jax.kernels.cpu import library as cpu

ROOT = Path(__file__).parents[2]


def load_from(folder, monkeypatch):
    monkeypatch.setattr(cpu, "FOLDER", folder)
    return cpu.load.__wrapped__()


def write(folder, sources="same", digest=None):
    (folder / "src").mkdir()
    (folder / "src" / "kernels.cc").write_text(sources)
    (folder / "_kernels.so").write_text("no library")
    (folder / "_build.txt").write_text(f"Built by hand.\n{digest or cpu._digest_of_sources()}\n\n")


def test_folder_where_nothing_was_built_is_told_so(tmp_path, monkeypatch):
    assert load_from(tmp_path, monkeypatch)[0] is None
    assert "not installed from here" in load_from(tmp_path, monkeypatch).note


def test_library_of_other_sources_is_not_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "FOLDER", tmp_path)
    write(tmp_path, digest="another")
    assert "sources changed" in load_from(tmp_path, monkeypatch).note


def test_note_that_was_cut_off_is_no_reason_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "FOLDER", tmp_path)
    write(tmp_path)
    (tmp_path / "_build.txt").write_text("")
    assert "sources changed" in load_from(tmp_path, monkeypatch).note


def test_file_that_is_no_library_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(cpu, "FOLDER", tmp_path)
    write(tmp_path)
    library = load_from(tmp_path, monkeypatch)
    assert library.handle is None and "Built for another system or JAX" in library.note


FUTURE = """
#include "xla/ffi/api/ffi.h"
static xla::ffi::Error nothing() { return xla::ffi::Error::Success(); }
XLA_FFI_DEFINE_HANDLER_SYMBOL(birnn_future, nothing, xla::ffi::Ffi::Bind());
"""


LOAD_FIRST = """
import pathlib
from birnn_jax.kernels.cpu import library as cpu

cpu.FOLDER, cpu.TARGETS = pathlib.Path({folder!r}), ("birnn_future",)
library = cpu.load()
assert library.handle is None and "API version (0.9" in library.note, library

import jax.numpy as jnp

assert jnp.arange(3).sum() == 3
"""


@pytest.mark.skipif(not shutil.which("c++"), reason="needs a C++ compiler")
def test_library_for_a_newer_interface_of_xla_is_refused_and_jax_goes_on(tmp_path, monkeypatch):
    """In a process of its own: what matters is that JAX starts afterwards."""
    shutil.copytree(jax.ffi.include_dir(), tmp_path / "include")
    header = tmp_path / "include" / "xla" / "ffi" / "api" / "c_api.h"
    header.write_text(header.read_text().replace("XLA_FFI_API_MINOR ", "XLA_FFI_API_MINOR 9"))
    monkeypatch.setattr(cpu, "FOLDER", tmp_path)
    write(tmp_path, FUTURE)
    command = "c++ -std=c++17 -fPIC -shared -Iinclude src/kernels.cc -o _kernels.so"
    subprocess.run(command.split(), cwd=tmp_path, check=True, timeout=300)
    code = LOAD_FIRST.format(folder=str(tmp_path))
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)


COMPILER = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  -dumpmachine) echo {machine} ;;
  --version) echo "toy 1.0" ;;
  *) {action} ;;
esac
"""


@pytest.fixture
def build(tmp_path):
    """Runs the build step with a toy for a compiler; returns the folder and what it was told."""

    def run(action="for last; do :; done; touch $last", machine="x86_64-toy", **env):
        compiler, log = tmp_path / "toy", tmp_path / "log"
        compiler.write_text(COMPILER.format(log=log, machine=machine, action=action))
        compiler.chmod(0o755)
        command = [sys.executable, "setup.py", "-q", "build_kernels", "--build-lib", str(tmp_path)]
        env = os.environ | {"CXX": str(compiler)} | env
        subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, timeout=300)
        calls = log.read_text().splitlines() if log.exists() else []
        return tmp_path / "birnn_jax" / "kernels" / "cpu", calls

    return run


def read_note(folder):
    return (folder / "_build.txt").read_text().splitlines()[0]


def test_kernels_are_compiled_for_every_instruction_set(build):
    folder, calls = build()
    assert (folder / "_kernels.so").exists()
    assert read_note(folder) == "Built by toy 1.0 for x86_64-toy (baseline, avx2, avx512)."
    units = [call for call in calls if call.endswith(".o") and "kernels.cc" in call]
    flags = ("-mfma", "-mavx512f", "-DBIRNN_SCALAR=double")
    assert sorted(tuple(flag in call for flag in flags) for call in units) == [
        (False, False, False),
        (True, False, False),
        (True, False, True),
        (True, True, False),
    ]
    assert all("-Werror" in call for call in units)


def test_kernels_of_another_processor_have_the_baseline_only(build):
    folder, calls = build(machine="aarch64-toy")
    assert "(baseline)" in read_note(folder) and not any("-mavx" in call for call in calls)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action": "echo 'a.cc:3: error: no such thing' >&2; exit 1"}, "error: no such thing"),
        ({"CXX": "false"}, "false failed: status 1"),
        ({"CXX": "not-there"}, "not-there could not be run"),
    ],
    ids=["error", "false", "missing"],
)
def test_installation_goes_on_without_a_compiler_that_works(options, message, build):
    build(machine="another")
    folder, _ = build(**options)
    assert not (folder / "_kernels.so").exists()  # nor the one from before
    assert read_note(folder).startswith("Not built: ") and message in read_note(folder)


def test_library_is_built_again_only_if_something_changed(build):
    count = lambda calls: sum(call.endswith(".o") for call in calls)  # noqa: E731
    first, again, another = build()[1], build()[1], build(machine="aarch64-toy")[1]
    assert 0 < count(first) == count(again) < count(another)


def test_note_of_the_build_names_the_sources_that_are_here(build):
    folder, _ = build()
    assert (folder / "_build.txt").read_text().splitlines()[1] == cpu._digest_of_sources()
