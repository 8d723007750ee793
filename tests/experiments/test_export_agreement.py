"""What a model card says of the model of 8 bits: how often it agrees with that of 32."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.runner.export.exported import TRUE_LABELS
from experiments.runner.export.folder import _agreement
from experiments.words.export import examples_of

onnxruntime = pytest.importorskip("onnxruntime")
WHOLE = {
    "labels": [[[2, 0, -1, -1], [1, 1, 0, -1]], [[3, -1, -1, -1]]],
    "filled": [[[0.5, 2.0]], [[-1.0, 4.0]]],
}
SMALL = {
    "labels": [[[2, 1, -1, -1], [1, 1, 0, 0]], [[3, -1, -1, -1]]],
    "filled": [[[0.25, 2.0]], [[-1.0, 5.0]]],
}


@pytest.fixture
def agreement(monkeypatch):
    """What is said of two graphs that give these outputs, and of these examples."""

    def of(outputs, examples):
        class Session:
            def __init__(self, path):
                self.given = {"whole": WHOLE, "small": SMALL}[path]

            def get_outputs(self):
                return [SimpleNamespace(name=name) for name in outputs]

            def run(self, names, feeds):
                (name,) = names
                return [np.array(self.given[name][feeds["number"]])]

        monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
        return _agreement(SimpleNamespace(examples=examples), "whole", "small").sentence()

    return of


def examples():
    return [{"number": 0}, {"number": 1}]


def test_labels_that_either_model_gives_are_counted(agreement):
    assert agreement(["logits", "labels"], examples) == (
        "On the test data of the run, 71.43% of 7 labels of the 8-bit model equal those of the "
        "32-bit model. Its accuracy was not measured."
    )


def test_labels_of_both_models_are_compared_with_true_ones(agreement):
    """In padding nothing is right, and a label that training does not have is never right."""
    true = np.array([[2, 1, 0, 0], [1, -1, 0, 0]]), np.array([[0, -1, 0, 0]])
    made = lambda: [{"number": i, TRUE_LABELS: rows} for i, rows in enumerate(true)]  # noqa: E731
    assert agreement(["labels"], made).endswith(
        "of the 32-bit model. 66.67% of them are right, and 50.00% of the 32-bit model's."
    )


def test_rows_that_fill_up_a_batch_are_no_examples():
    rng, numbers = np.random.default_rng(0), np.arange(7)
    texts = [
        {
            "words": rng.integers(1, 9, length),
            "characters": rng.integers(1, 9, [length, 4]),
            "label": np.array(number),
        }
        for number, length in zip(numbers, (3, 5, 2, 9, 8, 1, 30), strict=True)
    ]
    batches = [*examples_of(lambda: texts, 64, "label")()]
    assert len(batches) > 1
    for batch in batches:
        for row, number in enumerate(batch[TRUE_LABELS]):
            assert batch["lengths"][row] == len(texts[number]["words"])
    assert sorted(np.concatenate([batch[TRUE_LABELS] for batch in batches])) == numbers.tolist()


def test_numbers_are_compared_by_their_mean_distance(agreement):
    assert agreement(["filled"], examples) == (
        "On the test data of the run, `filled` of the 8-bit model differs by 0.3125 on average "
        "from the 32-bit model, over 4 values."
    )


def test_why_nothing_was_measured_is_said(agreement):
    def gone():
        raise FileNotFoundError("a.tsv does not exist.")

    start = "The effect of 8 bits was not measured. "
    assert agreement(["labels"], None) == (
        f"{start}This experiment exports no test data to measure it on."
    )
    assert agreement(["labels"], gone) == (
        f"{start}The test data of the run cannot be used: a.tsv does not exist."
    )
