"""Batches: every example once a pass, a function of the seed and the index, resumable."""

import itertools
import json

import numpy as np
import pytest

from experiments.runner.data.batches import Batches, bucket_lengths, bucket_of, prefetched

LENGTHS = [3, 9, 1, 4, 4, 17, 2, 8, 5, 11, 6, 3, 13]
BUCKETS = (4, 8, 20)


@pytest.fixture
def examples():
    rng = np.random.default_rng(0)
    return [{"xs": rng.normal(size=[n, 2]), "labels": rng.integers(1, 9, size=n)} for n in LENGTHS]


def make(examples, **options):
    return Batches(examples, **{"buckets": BUCKETS, "tokens_per_batch": 20} | options)


def test_each_example_comes_once_in_each_pass(examples):
    batches = make(examples, epochs=3, seed=1)
    assert len(batches) == 3 * batches.per_epoch
    for epoch in range(3):
        first = epoch * batches.per_epoch
        rows = np.concatenate([batches[first + i]["rows"] for i in range(batches.per_epoch)])
        assert sorted(rows[rows >= 0]) == list(range(len(LENGTHS)))


def test_batch_holds_its_examples_and_zeros(examples):
    batches = make(examples, seed=1)
    for batch in map(batches.__getitem__, range(len(batches))):
        for i, row in enumerate(batch["rows"]):
            n = LENGTHS[row] if row >= 0 else 0
            assert batch["lengths"][i] == n
            np.testing.assert_array_equal(batch["labels"][i, :n], examples[row]["labels"][:n])
            np.testing.assert_array_equal(batch["xs"][i, :n], examples[row]["xs"][:n])
            assert not batch["labels"][i, n:].any() and not batch["xs"][i, n:].any()


def test_shapes_are_those_of_the_buckets(examples):
    batches = make(examples, epochs=4, seed=1)
    shapes = {batches[i]["labels"].shape for i in range(len(batches))}
    assert shapes == {(5, 4), (2, 8), (1, 20)}


def test_batch_is_a_function_of_seed_and_index(examples):
    def rows(seed, order):
        batches = make(examples, epochs=2, seed=seed)
        return {i: batches[i]["rows"].tolist() for i in order(range(len(batches)))}

    assert rows(1, iter) == rows(1, reversed)
    assert rows(1, iter) != rows(2, iter)


def test_passes_differ_with_a_seed_and_do_not_without(examples):
    shuffled, ordered = make(examples, epochs=2, seed=1), make(examples, epochs=2)
    n = shuffled.per_epoch
    assert any(shuffled[i]["rows"].tolist() != shuffled[n + i]["rows"].tolist() for i in range(n))
    assert all(ordered[i]["rows"].tolist() == ordered[n + i]["rows"].tolist() for i in range(n))


@pytest.mark.parametrize("done", [0, 1, 5])
def test_iterator_goes_on_from_a_state_that_went_through_json(examples, done):
    batches = make(examples, epochs=2, seed=3)
    unbroken = [batch["rows"].tolist() for batch in prefetched(batches)]
    iterator = prefetched(batches)
    for _ in itertools.islice(iterator, done):
        pass
    state = json.loads(json.dumps(iterator.get_state()))
    resumed = prefetched(make(examples, epochs=2, seed=3))
    resumed.set_state(state)
    assert [batch["rows"].tolist() for batch in resumed] == unbroken[done:]


@pytest.mark.parametrize("num_buckets", [1, 2, 3, 5, 99])
def test_buckets_need_the_least_padding(num_buckets):
    ends = sorted({-(-n // 4) * 4 for n in LENGTHS})
    buckets = bucket_lengths(LENGTHS, num_buckets)

    def padded(buckets):
        return sum(bucket_of(length, buckets) for length in LENGTHS)

    every = itertools.combinations(ends[:-1], min(num_buckets, len(ends)) - 1)
    assert padded(buckets) == min(padded((*chosen, ends[-1])) for chosen in every)
    assert len(buckets) <= num_buckets


def test_a_sequence_beyond_the_last_bucket_gets_a_multiple_of_it(examples):
    assert [bucket_of(n, (4, 8)) for n in (1, 4, 5, 8, 9, 17)] == [4, 4, 8, 8, 16, 24]
    batches = make(examples, buckets=(4,), tokens_per_batch=4)
    assert {batches[i]["labels"].shape[1] for i in range(len(batches))} == {4, 8, 12, 16, 20}


def test_numbers_of_a_whole_sequence_become_a_column(examples):
    numbered = [{"label": np.array(i), **example} for i, example in enumerate(examples)]
    for batch in map(make(numbered).__getitem__, range(len(make(numbered)))):
        filled = batch["rows"] >= 0
        np.testing.assert_array_equal(batch["label"], np.where(filled, batch["rows"], 0))
        assert batch["lengths"][filled].tolist() == [LENGTHS[row] for row in batch["rows"][filled]]
