"""Minibatches of windows: what is adjacent goes on, what is random comes once, nothing is lost."""

import numpy as np
import pytest

from experiments.bilm_leakage.data import PERIOD, Gaps, all_gaps
from experiments.characters.windows import Whole, Windows

TOKENS = np.random.default_rng(0).permutation(47).astype(np.int32)  # each token names its place
PLACE = np.argsort(TOKENS)


def windows(sampling, **changes):
    options = {"steps": 4, "batch_size": 3, "epochs": 2, "seed": 0, **changes}
    return Windows(TOKENS, sampling=sampling, **options)


@pytest.mark.parametrize("sampling", ["adjacent", "random"])
def test_label_is_the_next_character(sampling):
    batches = windows(sampling)
    assert len(batches) == 2 * batches.per_epoch == 6
    for i in range(len(batches)):
        inputs, labels = batches[i]["inputs"], batches[i]["labels"]
        assert inputs.shape == labels.shape == (3, 4)
        np.testing.assert_array_equal(PLACE[labels], PLACE[inputs] + 1)
        np.testing.assert_array_equal(np.diff(PLACE[inputs], axis=1), 1)


def test_adjacent_minibatch_goes_on_where_the_one_before_stopped():
    batches = windows("adjacent")
    for i in range(len(batches)):
        assert batches[i]["fresh"] == (i % batches.per_epoch == 0)
        if not batches[i]["fresh"]:
            before = batches[i - 1]["labels"][:, -1]
            np.testing.assert_array_equal(batches[i]["inputs"][:, 0], before)
    np.testing.assert_array_equal(batches[0]["inputs"], batches[batches.per_epoch]["inputs"])


def test_random_windows_come_once_a_pass_in_a_new_order():
    batches = windows("random")
    passes = [
        [int(start) for i in range(3) for start in PLACE[batches[3 * epoch + i]["inputs"][:, 0]]]
        for epoch in range(2)
    ]
    assert all(len(set(starts)) == 9 and not np.any(np.mod(starts, 4)) for starts in passes)
    assert passes[0] != passes[1]
    assert all(batches[i]["fresh"] for i in range(6))
    again, other = windows("random"), windows("random", seed=1)
    np.testing.assert_array_equal(again[4]["inputs"], batches[4]["inputs"])
    assert (other[4]["inputs"] != batches[4]["inputs"]).any()


@pytest.mark.parametrize(("steps", "batch_size"), [(4, 3), (5, 1), (50, 2), (1, 46), (3, 60)])
def test_whole_text_is_predicted_once(steps, batch_size):
    (batch,) = [Whole(TOKENS, steps=steps, batch_size=batch_size)[0]]
    valid = np.arange(steps) < batch["lengths"][..., None]
    assert sorted(PLACE[batch["labels"][valid]]) == list(range(1, 47))
    np.testing.assert_array_equal(PLACE[batch["labels"][valid]], PLACE[batch["inputs"][valid]] + 1)
    assert batch["fresh"][0] and not batch["fresh"][1:].any()
    for row in range(batch_size):
        read = batch["inputs"][:, row][valid[:, row]]
        np.testing.assert_array_equal(np.diff(PLACE[read]), 1)


def test_text_shorter_than_a_minibatch_is_refused_with_what_it_takes():
    with pytest.raises(ValueError, match=r"has 47 characters, .* 12 windows of 4 takes 49"):
        windows("adjacent", batch_size=12)
    assert len(windows("random", batch_size=11)) == 2


def test_every_character_is_missing_in_exactly_one_minibatch():
    batch = {"inputs": TOKENS[:46].reshape(2, 23), "lengths": np.array([23, 20], np.int32)}
    batches = all_gaps([batch], gap=2, missing=99)
    hidden = np.stack([one["hidden"] for one in batches])
    assert len(batches) == PERIOD
    np.testing.assert_array_equal(hidden.sum(axis=0), 1)
    for one in batches:
        np.testing.assert_array_equal(one["inputs"] == 99, one["hidden"])
        np.testing.assert_array_equal(one["labels"], batch["inputs"])
        np.testing.assert_array_equal(one["lengths"], batch["lengths"])
        kept = ~one["hidden"]
        np.testing.assert_array_equal(one["inputs"][kept], one["labels"][kept])


def test_gaps_of_training_are_of_their_length_and_differ_between_minibatches():
    gaps = Gaps(windows("random", steps=14), gap=2, missing=99, seed=0)
    again = Gaps(windows("random", steps=14), gap=2, missing=99, seed=0)
    np.testing.assert_array_equal(gaps[1]["hidden"], again[1]["hidden"])
    np.testing.assert_array_equal(gaps[0]["hidden"].sum(axis=1), 2)
    assert any((gaps[0]["hidden"] != gaps[i]["hidden"]).any() for i in range(1, len(gaps)))
