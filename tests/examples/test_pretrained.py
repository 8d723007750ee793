"""Networks that ship inside wheels give here what they give in the runtimes they were made for.

`make pretrained` installs the wheels and runs this; elsewhere each test is skipped.
"""

import importlib
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "pretrained"
PACKAGES = {
    "pronounce": ["g2p_en"],
    "compare_voices": ["resemblyzer", "torch"],
    "read_captcha": ["ddddocr", "onnx", "onnxruntime"],
    "detect_speech": ["silero_vad", "onnx", "onnxruntime"],
    "tag_japanese": ["nagisa"],
    "tag_chinese": ["jieba", "paddle"],
}

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages


@pytest.fixture
def load(monkeypatch):
    """Imports a file of the examples, if the packages that it reads are installed."""
    monkeypatch.syspath_prepend(FOLDER)

    def load(name, example):
        for package in PACKAGES[example]:
            if not find_spec(package):
                pytest.skip(f"{package} is not installed: pip install 'birnn-jax[pretrained]'")
        return importlib.import_module(name)

    with jax.numpy_rank_promotion("allow"):
        yield load


@pytest.mark.parametrize("name", PACKAGES)
def test_outputs_are_those_of_its_own_runtime(load, name):
    ours, theirs = getattr(load("runtimes", name), name)()
    assert load("measure", name).largest_difference(ours, theirs) < 1e-5


def test_speech_in_two_pieces_is_speech_in_one(load):
    detect_speech = load("detect_speech", "detect_speech")
    samples = np.random.default_rng(0).normal(scale=0.1, size=5000).astype(np.float32)
    frames, listen = detect_speech.cut(samples), detect_speech.load()
    carries, first = listen(frames[:3])
    _, second = listen(frames[3:], carries)
    np.testing.assert_allclose([*first, *second], listen(frames)[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("pronounce", ["zoneout", "dog"], "Z OW1 N IY0 AH0 T\nD AO1 G\n"),
        ("tag_chinese", ["百度公司"], "百 ORG-B 度 ORG-I 公 ORG-I 司 ORG-I\n"),
        ("tag_japanese", ["Pythonで使えるツール"], "Python/名詞 で/助詞 使える/動詞 ツール/名詞\n"),
    ],
)
def test_example_prints(load, monkeypatch, capsys, name, arguments, output):
    load(name, name)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out == output


@pytest.mark.parametrize("name", PACKAGES)
def test_example_has_at_most_25_lines(monkeypatch, name):
    monkeypatch.syspath_prepend(FOLDER.parent)
    count_lines = importlib.import_module("compare").count_lines
    assert count_lines(FOLDER / f"{name}.py") <= 25
