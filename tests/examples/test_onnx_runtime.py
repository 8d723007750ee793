"""The programs of `examples/onnx_runtime` tag as Python does; skipped without their runtimes."""

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER, MODELS = ROOT / "examples" / "onnx_runtime", ROOT / "docs" / "demo" / "models"
EXPECTED = json.loads((MODELS / "expected.json").read_text(encoding="utf-8"))
HEADERS = [Path("/usr/include/onnxruntime"), Path("/usr/local/include/onnxruntime")]


def check(command):
    """A program prints each word with its tag."""
    for number in (1, 2):  # the third sentence has words that are long, unknown, and of two parts
        words, tags = EXPECTED["words"][number], EXPECTED["tagger"][number]
        done = subprocess.run(command(MODELS / "tagger", words), capture_output=True, text=True)
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        assert lines == [list(pair) for pair in zip(words, tags, strict=True)], done.stderr


def test_javascript_tags_as_python_does():
    if not shutil.which("node"):
        pytest.skip("node is not installed: install the package nodejs of your system")
    if not (FOLDER / "node_modules").exists():
        pytest.skip("onnxruntime-node is not installed: npm install in examples/onnx_runtime")
    check(lambda folder, words: ["node", FOLDER / "tag.mjs", folder, " ".join(words)])


def test_cpp_tags_as_python_does(tmp_path):
    named = os.environ.get("ONNXRUNTIME_INCLUDE")
    folders = [Path(named)] if named else HEADERS
    found = [folder for folder in folders if (folder / "onnxruntime_cxx_api.h").exists()]
    if not found or not shutil.which("g++"):
        pytest.skip("There are no headers of ONNX Runtime: apt install libonnxruntime-dev")
    build = ["g++", "-std=c++17", "-Wall", "-Werror", FOLDER / "tag.cc", "-o", tmp_path / "tag"]
    build += [f"-I{found[0]}", *_library(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True)
    if "nlohmann/json.hpp" in done.stderr:
        pytest.skip("There is no nlohmann/json.hpp: apt install nlohmann-json3-dev")
    assert not done.returncode, done.stderr
    check(lambda folder, words: [tmp_path / "tag", folder, *words])


def _library(folder):
    """The library of the wheel, under the names that a linker looks for; or that of the system."""
    spec = find_spec("onnxruntime")
    place = Path(spec.origin).parent / "capi" if spec and spec.origin else folder
    for path in place.glob("libonnxruntime.so.1*"):
        for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
            (folder / name).symlink_to(path)
        return [f"-L{folder}", "-lonnxruntime", f"-Wl,-rpath,{folder}"]
    return ["-lonnxruntime"]
