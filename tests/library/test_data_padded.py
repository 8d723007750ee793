"""Padded batches: every example once an epoch, few shapes, resumable, shares of one batch."""

import collections
import itertools
import json
import pickle
import subprocess
import sys
from typing import NamedTuple

import grain
import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn_jax.data import choose_buckets, pad, padded_batches, prefetch, row_keys, split_row_keys

RNG = np.random.default_rng(0)


class Utterance(NamedTuple):
    frames: np.ndarray  # [T, 2]
    labels: list[int]  # [L]
    speaker: int


def utterance(frames, labels, speaker=3):
    numbers = RNG.integers(1, 9, labels).tolist()
    return Utterance(RNG.normal(size=[frames, 2]).astype("f"), numbers, speaker)


UTTERANCES = [utterance(n, m, i) for i, (n, m) in enumerate(
    [(9, 2), (3, 5), (31, 4), (4, 1), (17, 9), (8, 3), (5, 1), (11, 3), (0, 1), (6, 2), (13, 4)]
)]  # fmt: skip


class Counted(grain.MapDataset):
    """Draws its items anew in each epoch: item i is [i] times 1 to 4, by the epoch."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        epoch, place = divmod(index, 5)
        return np.full([1 + (epoch + place) % 4], index)


SIZES = st.one_of(
    st.fixed_dictionaries({"batch_size": st.integers(1, 5)}),
    st.fixed_dictionaries({"tokens_per_batch": st.integers(1, 60)}),
)


@given(
    lengths=st.lists(st.integers(0, 30), min_size=1, max_size=25),
    size=SIZES,
    buckets=st.integers(1, 5),
    seed=st.one_of(st.none(), st.integers(0, 2**31)),
)
@settings(max_examples=60, deadline=None)
def test_batches_hold_every_example_once_an_epoch_in_few_shapes(lengths, size, buckets, seed):
    examples = [np.arange(1, n + 1) + 100 * i for i, n in enumerate(lengths)]
    batches = padded_batches(examples, buckets=buckets, seed=seed, **size)
    shapes, valid, total = set(), 0, 0
    for epoch in range(2):
        seen = []
        for i in range(len(batches)):
            batch = batches[epoch * len(batches) + i]
            seen += batch.rows[batch.rows >= 0].tolist()
            shapes.add(batch.values.shape)
            valid, total = valid + batch.lengths.sum(), total + batch.values.size
            for row, length, values in zip(*batch[2:], *batch[1:2], batch.values, strict=True):
                example = examples[row] if row >= 0 else np.arange(0)
                assert length == len(example)
                np.testing.assert_array_equal(values[:length], example)
                assert not values[length:].any()
        assert sorted(seen) == list(range(len(lengths)))
    assert len(shapes) <= buckets
    if "tokens_per_batch" in size:
        assert all(rows * steps <= size["tokens_per_batch"] or rows == 1 for rows, steps in shapes)
        assert batches.padding_share == pytest.approx(1 - valid / max(1, total) if total else 0)


@pytest.mark.parametrize("size", [{"batch_size": 3}, {"tokens_per_batch": 40}])
def test_leaves_of_different_lengths_are_padded_together(size):
    batches = padded_batches(UTTERANCES, buckets=3, seed=5, **size)
    assert isinstance(batches.buckets[-1], Utterance)
    bounds = {(b.frames, b.labels) for b in batches.buckets}
    assert len(bounds) == 3 and max(bounds) == (32, 12)
    seen = []
    for batch in batches:
        assert (batch.values.frames.shape[1], batch.values.labels.shape[1]) in bounds
        for i, row in enumerate(batch.rows.tolist()):
            frames, labels, speaker = UTTERANCES[row] if row >= 0 else (np.zeros([0, 2]), [], 0)
            n, m = len(frames), len(labels)
            assert (batch.lengths.frames[i], batch.lengths.labels[i]) == (n, m)
            assert batch.lengths.speaker is None and batch.values.speaker[i] == speaker
            np.testing.assert_array_equal(batch.values.frames[i, :n], frames)
            assert batch.values.labels[i, :m].tolist() == labels
            assert not batch.values.frames[i, n:].any() and not batch.values.labels[i, m:].any()
        seen += batch.rows.tolist()
    assert sorted(row for row in seen if row >= 0) == list(range(11))
    dtypes = jax.tree.map(lambda leaf: str(leaf.dtype), batches[0].values)
    assert dtypes == ("float32", "int32", "int32")


def test_vector_of_fixed_size_is_neither_padded_nor_sorted_by():
    examples = [{"xs": [1] * n, "of_speaker": np.ones(7)} for n in (2, 30, 3, 29)]
    batches = padded_batches(examples, batch_size=2, buckets=2)
    assert [batch.values["of_speaker"].shape for batch in batches] == [(2, 7), (2, 7)]
    assert [batch.lengths["xs"].tolist() for batch in batches] == [[2, 3], [29, 30]]
    assert batches.buckets == [{"xs": 4, "of_speaker": 7}, {"xs": 32, "of_speaker": 7}]


def test_length_says_what_is_sorted_by():
    pairs = [(np.ones(n), np.ones(m)) for n, m in [(5, 1), (2, 6), (3, 2), (4, 5)]]
    added = padded_batches(pairs, batch_size=4, length=lambda n: n[0] + n[1])
    assert added[0].rows.tolist() == [2, 0, 1, 3]
    assert padded_batches(pairs, batch_size=4)[0].rows.tolist() == [2, 0, 3, 1]


def test_given_buckets_are_kept_and_longer_examples_get_a_multiple_of_the_last():
    examples = [np.ones(n) for n in (1, 4, 5, 8, 9, 17)]
    batches = padded_batches(examples, tokens_per_batch=8, buckets=(8, 4))
    assert batches.buckets == [4, 8]
    assert [batch.values.shape for batch in batches] == [(2, 4), (1, 8), (1, 8), (1, 16), (1, 24)]
    sides = [(n, m) for n in (8, 4) for m in (4, 8)]
    pairs = padded_batches([([1] * 3, [1] * 5), ([1] * 6, [1])], batch_size=1, buckets=sides)
    assert [pairs[i].values[0].shape[1] for i in range(2)] == [4, 8]
    assert [pairs[i].values[1].shape[1] for i in range(2)] == [8, 4]
    trees = padded_batches(UTTERANCES, batch_size=11, buckets=[Utterance(10, 4, None)])
    assert trees[0].values.frames.shape[1:] == (40, 2) and trees[0].values.labels.shape[1] == 16


# Of 13 sequences: the rows of the batches of two epochs, as of the first version of this order.
OLD_LENGTHS = [3, 9, 1, 4, 4, 17, 2, 8, 5, 11, 6, 3, 13]
BY_TOKENS = [
    [11],
    [3, 2, 0, 6, 4],
    [5],
    [9],
    [1],
    [8, 10],
    [7],
    [12],
    [6, 3, 2, 11, 0],
    [1],
    [8, 7],
    [5],
    [12],
    [9],
    [4],
    [10],
]
BY_ROWS = [
    [9, 12, 5],
    [4, 8, 10, 7, 1],
    [2, 6, 0, 11, 3],
    [9, 12, 5],
    [2, 6, 11, 0, 4],
    [3, 8, 10, 7, 1],
]


@pytest.mark.parametrize(
    ("size", "old"), [({"tokens_per_batch": 20}, BY_TOKENS), ({"batch_size": 5}, BY_ROWS)]
)
def test_order_is_that_of_recorded_trainings(size, old):
    examples = [np.ones(n) for n in OLD_LENGTHS]
    batches = padded_batches(examples, buckets=(4, 8, 20), seed=1, **size)
    rows = [batches[i].rows for i in range(2 * len(batches))]
    assert [chosen[chosen >= 0].tolist() for chosen in rows] == old
    other = padded_batches(examples, buckets=(4, 8, 20), seed=2, **size)
    assert [batch.rows.tolist() for batch in other] != [chosen.tolist() for chosen in rows][:2]


@pytest.mark.parametrize("size", [{"tokens_per_batch": 40}, {"batch_size": 3}])
@pytest.mark.parametrize("count", [2, 3])
def test_shares_of_processes_are_the_whole_batch(size, count):
    whole = padded_batches(UTTERANCES, seed=3, **size)
    shares = [whole.shard(index, count, row_multiple=4) for index in range(count)]
    for i in range(len(whole) + 2):
        got = jax.tree.map(lambda *leaves: np.concatenate(leaves), *[share[i] for share in shares])
        want, rows = jax.tree.leaves(whole[i]), len(whole[i].rows)
        assert len(got.rows) % 4 == len(got.rows) % count == 0 and len(got.rows) - rows < 4 * count
        for leaf, of_whole in zip(jax.tree.leaves(got), want, strict=True):
            np.testing.assert_array_equal(leaf[:rows], of_whole)
        assert (got.rows[rows:] == -1).all() and not got.lengths.frames[rows:].any()


@pytest.mark.parametrize("done", [0, 1, 4, 7])
def test_training_goes_on_where_it_was(done):
    batches = padded_batches(UTTERANCES, batch_size=3, seed=3).repeat(2)
    unbroken = [batch.rows.tolist() for batch in batches]
    iterator = prefetch(batches)
    assert [b.rows.tolist() for b in itertools.islice(iterator, done)] == unbroken[:done]
    state = json.loads(json.dumps(iterator.get_state()))
    again = pickle.loads(pickle.dumps(padded_batches(UTTERANCES, batch_size=3, seed=3))).repeat(2)
    resumed = prefetch(again)
    resumed.set_state(state)
    assert [batch.rows.tolist() for batch in resumed] == unbroken[done:]
    by_step = prefetch(again, start_step=done)
    assert [batch.rows.tolist() for batch in by_step] == unbroken[done:]
    assert [batch.rows.tolist() for batch in again[done:]] == unbroken[done:]
    assert [batches[i].rows.tolist() for i in reversed(range(8))] == unbroken[::-1]


def test_any_source_of_batches_is_prefetched():
    assert list(prefetch([5, 6, 7], start_step=1)) == [6, 7]


def test_map_dataset_is_drawn_anew_in_each_epoch():
    batches = padded_batches(Counted(), batch_size=2, seed=0)
    for epoch in range(3):
        found = [batches[epoch * len(batches) + i] for i in range(len(batches))]
        values = {
            int(v[0]): int(n) for b in found for v, n in zip(b.values, b.lengths, strict=True)
        }
        want = {5 * epoch + place: 1 + (epoch + place) % 4 for place in range(5)}
        assert {place: n for place, n in values.items() if n} == want
    lengths = lambda epoch: [1 + (epoch + i) % 4 for i in range(5)]  # noqa: E731
    known = padded_batches(Counted(), batch_size=2, seed=0, lengths=lengths)
    for i in range(9):
        np.testing.assert_array_equal(known[i].rows, batches[i].rows)
    by_tokens = padded_batches(Counted(), tokens_per_batch=4, buckets=(1, 4))
    with pytest.raises(ValueError, match=r"Epoch 1 has . batches, epoch 0 has"):
        by_tokens[len(by_tokens)]


def test_source_is_not_read_at_the_beginning_where_lengths_are_known():
    read = collections.Counter()

    class Files:
        def __len__(self):
            return len(UTTERANCES)

        def __getitem__(self, index):
            read[index] += 1
            return UTTERANCES[index]

    lengths = Utterance(*([len(x[i]) for x in UTTERANCES] for i in range(2)), None)
    batches = padded_batches(Files(), batch_size=3, lengths=lengths, seed=1)
    assert read == {0: 1}
    assert [b.rows.tolist() for b in batches] == [
        b.rows.tolist() for b in padded_batches(UTTERANCES, batch_size=3, seed=1)
    ]
    assert set(read.values()) == {1, 2} and len(read) == 11


@pytest.mark.parametrize("num_buckets", [1, 2, 3, 5, 99])
def test_buckets_need_the_least_padding(num_buckets):
    ends = sorted({-(-n // 4) * 4 for n in OLD_LENGTHS})

    def padded(buckets):
        return sum(min(bucket for bucket in buckets if n <= bucket) for n in OLD_LENGTHS)

    found = choose_buckets(OLD_LENGTHS, num_buckets)
    every = itertools.combinations(ends[:-1], min(num_buckets, len(ends)) - 1)
    assert padded(found) == min(padded((*chosen, ends[-1])) for chosen in every)
    assert len(found) <= num_buckets


def test_number_of_buckets_weighs_compilations_against_padding_of_all_epochs():
    lengths, numbers = 60 * OLD_LENGTHS, set()
    for epochs in (1, 10, 40, 100, 10_000):
        found = choose_buckets(lengths, epochs=epochs)
        costs = []
        for number in range(1, 6):
            buckets = choose_buckets(lengths, number)
            padded = sum(min(bucket for bucket in buckets if n <= bucket) for n in lengths)
            costs.append((50_000 * len(buckets) + epochs * padded, len(buckets), buckets))
        assert found == min(costs)[-1]
        numbers.add(len(found))
    assert numbers == {1, 2, 3, 4, 5}
    chosen = padded_batches([np.ones(n) for n in lengths], batch_size=9)
    assert chosen.buckets == [*choose_buckets(lengths, epochs=10)]
    assert len(choose_buckets(range(1, 1000), epochs=10**9)) == 8  # at most


def test_buckets_of_very_many_lengths_are_nearly_as_good(monkeypatch):
    lengths = np.random.default_rng(0).gamma(2.0, 1500.0, 700).astype(int)

    def padded():
        buckets = np.array(choose_buckets(lengths, 6))
        return buckets[np.searchsorted(buckets, lengths)].sum()

    best = padded()
    monkeypatch.setattr("birnn_jax.data._buckets._MOST_ENDS", 100)
    assert best < padded() < 1.01 * best


def test_pad_takes_lists_scalars_and_the_shape_that_is_wanted():
    batch = pad(
        [{"x": [[1.5, 2], [3, 4]], "y": True}, {"x": [], "y": False}], length=3, batch_size=4
    )
    assert batch.values["x"].tolist() == [[[1.5, 2], [3, 4], [0, 0]], *[[[0, 0]] * 3] * 3]
    assert batch.values["x"].dtype == np.float32 and batch.values["y"].dtype == bool
    assert batch.rows.tolist() == [0, 1, -1, -1] and batch.lengths["x"].tolist() == [2, 0, 0, 0]


def test_keys_of_rows_do_not_depend_on_the_batch():
    def numbers(rows):
        keys = row_keys(jax.random.key(0), np.array(rows))
        return [np.asarray(jax.vmap(jax.random.uniform)(keys)) for keys in split_row_keys(keys, 2)]

    first, second = numbers([4, 2, 7])
    assert len({*first, *second}) == 6
    np.testing.assert_array_equal(numbers([7, 4]), [first[[2, 0]], second[[2, 0]]])


GOOD = [{"x": [1, 2], "y": 1}]


@pytest.mark.parametrize(
    ("source", "options", "sentence"),
    [
        ([], {}, "source has no examples"),
        (
            {"x": [[1], [2]]},
            {},
            "must be a list of examples.* keys 'x'. Columns become examples by",
        ),
        ((x for x in GOOD), {}, "got generator. Turn an iterator into a list"),
        (
            [{"x": ["a", "b"]}],
            {},
            "leaf x must be numbers, got the string 'a'. Turn text into numbers",
        ),
        (
            [{"x": [[1], [2, 3]]}],
            {},
            "leaf x has steps of different shapes. Only axis 0 may be ragged",
        ),
        ([*GOOD, {"x": [1]}], {}, "Example 1 has another structure than the others"),
        (
            [*GOOD, {"x": 3, "y": 1}],
            {},
            "leaf x of example 1 is a scalar, of other examples it is an a",
        ),
        (
            [*GOOD, {"x": [1.5], "y": 2}],
            {},
            r"leaf x of example 1 has steps of float32\[\], .* int32",
        ),
        ([*GOOD, None], {}, "Example 1 is None, as after .filter"),
        (grain.MapDataset.range(3).repeat(), {}, "source has no end: leave out .repeat()"),
        (GOOD, {"batch_size": None}, "Give batch_size or tokens_per_batch, one of them"),
        (GOOD, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (GOOD, {"batch_size": None, "tokens_per_batch": 0}, "tokens_per_batch must be at least 1"),
        (GOOD, {"buckets": (8, -4)}, r"buckets must be padded lengths, integers from 0, got \[8"),
        (GOOD, {"buckets": [{"y": 4}]}, "buckets must be one value for all leaves, or a tree like"),
        (GOOD, {"buckets": ()}, "buckets must name at least one padded length"),
        (GOOD, {"lengths": [1, 2]}, "lengths must be integers, one for each of 1 examples, got an"),
        (GOOD, {"drop_remainder": True}, "1 examples do not fill one batch"),
        (GOOD, {"seed": -1}, "seed must be at least 0"),
    ],
)
def test_what_cannot_be_batched_is_refused_in_a_sentence(source, options, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        batches = padded_batches(source, **{"batch_size": 2} | options)
        batches[0]


def test_without_grain_the_command_is_named():
    code = (
        "import sys; sys.modules['grain'] = None; import birnn_jax\n"
        "try: birnn_jax.data\n"
        "except ImportError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "birnn_jax.data needs grain: pip install 'birnn-jax[data]'.\n"
