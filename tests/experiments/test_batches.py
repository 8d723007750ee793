"""Batches of the runner: those of birnn_jax.data over epochs, as one dict."""

import numpy as np
import pytest

from birnn_jax.data import padded_batches
from experiments.runner.data.batches import Batches, Share, flat_batch, shared

LENGTHS = [3, 9, 1, 4, 4, 17, 2, 8, 5, 11, 6, 3, 13]
OPTIONS = {"buckets": (4, 8, 20), "tokens_per_batch": 20, "seed": 1}


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    return [
        {"xs": rng.normal(size=[n, 2]), "labels": rng.integers(1, 9, size=n), "label": np.array(i)}
        for i, n in enumerate(LENGTHS)
    ]


def test_epochs_are_those_of_the_data_set_and_leaves_stand_beside_lengths_and_rows(examples):
    batches, want = Batches(examples, epochs=3, **OPTIONS), padded_batches(examples, **OPTIONS)
    assert len(batches) == 3 * batches.per_epoch == 3 * len(want)
    for i in range(len(batches)):
        batch = batches[i]
        assert batch.keys() == {"xs", "labels", "label", "lengths", "rows"}
        np.testing.assert_array_equal(batch["xs"], want[i].values["xs"])
        np.testing.assert_array_equal(batch["rows"], want[i].rows)
        lengths = [LENGTHS[row] if row >= 0 else 0 for row in batch["rows"]]
        assert batch["lengths"].tolist() == lengths


def test_share_is_a_part_of_the_rows_of_each_batch(examples):
    batches = Batches(examples, epochs=2, **OPTIONS)
    shares = [shared(batches, Share(process, 2, 4)) for process in range(2)]
    assert [len(share) for share in shares] == [len(batches)] * 2
    for i in range(len(batches)):
        got = np.concatenate([share[i]["labels"] for share in shares])
        whole = batches[i]["labels"]
        np.testing.assert_array_equal(got[: len(whole)], whole)
        assert len(got) % 4 == 0 and not got[len(whole) :].any()


def test_one_batch_of_some_examples(examples):
    batch = flat_batch(examples[:2], batch_size=3, length=10)
    assert batch["xs"].shape == (3, 10, 2) and batch["lengths"].tolist() == [3, 9, 0]
    assert batch["label"].tolist() == [0, 1, 0] and batch["rows"].tolist() == [0, 1, -1]
