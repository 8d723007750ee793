"""What a model card says of the model of 8 bits: its measures beside those of 32 bits."""

import pathlib
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from experiments.runner.export.folder import _cost
from experiments.words.export import labels_of

OUTPUTS = {
    "encoder.onnx": [2.0, 3.0],
    "decoder.onnx": [5.0, 7.0],
    "encoder.int8.onnx": [2.5, 3.5],
    "decoder.int8.onnx": [5.25, 7.75],
}


@pytest.fixture
def said(monkeypatch):
    """What is said of two graphs, each in two forms, that multiply these numbers."""

    class Session:
        def __init__(self, path):
            self.factors = OUTPUTS[pathlib.Path(path).name]

        def get_outputs(self):
            return [SimpleNamespace(name=name) for name in ("first", "second")]

        def run(self, names, feeds):
            assert names == ["first", "second"]
            return [factor * feeds["x"] for factor in self.factors]

    def of(read_test):
        exported: Any = SimpleNamespace(
            parts={"encoder": None, "decoder": None}, read_test=read_test
        )
        return _cost(exported, pathlib.Path("model")).text()

    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    return of


def test_both_forms_of_all_graphs_are_measured(said):
    def test(answers):
        encoded = answers["encoder"]({"x": np.float32(1)})
        decoded = answers["decoder"]({"x": encoded["second"]})
        return {"bleu": decoded["first"], "chrf": decoded["second"] - encoded["first"]}

    assert said(lambda: test).splitlines() == [
        "| graph, test data of the run | 32 bits | 8 bits |",
        "| --- | --- | --- |",
        "| bleu | 15.0000 | 18.3750 |",
        "| chrf | 19.0000 | 24.6250 |",
    ]


def test_why_nothing_was_measured_is_said(said):
    def gone():
        raise FileNotFoundError("a.tsv does not exist.")

    start = "The effect of 8 bits was not measured. "
    assert said(gone) == f"{start}The test data of the run cannot be used: a.tsv does not exist."


def test_labels_come_in_the_order_of_the_sentences():
    rng, lengths = np.random.default_rng(0), (3, 5, 2, 9, 8, 1, 30)
    texts = [
        {"words": rng.integers(1, 9, length), "characters": rng.integers(1, 9, [length, 4])}
        for length in lengths
    ]
    calls = []

    def model(inputs):
        assert {name: leaf.dtype for name, leaf in inputs.items()} == dict.fromkeys(inputs, "int32")
        calls.append(inputs["words"].shape)
        steps = np.arange(inputs["words"].shape[1]) < inputs["lengths"][:, None]
        return {"labels": np.where(steps, 10 * inputs["words"], -1), "logits": None}

    found = labels_of({"model": model}, texts, 64)
    assert len({width for _, width in calls}) > 1  # several batches, most of them padded
    for labels, text in zip(found, texts, strict=True):
        length = len(text["words"])
        np.testing.assert_array_equal(labels[:length], 10 * text["words"])
        assert (labels[length:] == -1).all()
