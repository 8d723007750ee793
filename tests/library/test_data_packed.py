"""Packing: every example once, none over another, and the outputs are those of each alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn_jax import GRU, bidirectional, init_bidirectional
from birnn_jax.data import pack, packed_batches

STEPS = 11


def examples_of(lengths):
    """Each step says of which example it is, and which of its steps."""
    return [
        {"x": np.stack([np.full(n, i), np.arange(n)], axis=1), "n": i}
        for i, n in enumerate(lengths)
    ]


def naive_first_fit(lengths, capacity):
    """The number of bins, by looking at all of them."""
    room = []
    for n in lengths:
        place = next((i for i, left in enumerate(room) if left >= n), None)
        if place is None:
            place = len(room)
            room.append(capacity)
        room[place] -= n
    return len(room)


def require_packed(packed, lengths):
    """Checks the rows of a batch, and gives the examples in it."""
    ids, values, found = packed.segments.ids, packed.values["x"], []
    for row in range(len(ids)):
        end = 0
        for segment, number in enumerate(packed.rows[row], start=1):
            if number < 0:
                assert not (ids[row] == segment).any()
                continue
            (places,) = np.nonzero(ids[row] == segment)
            assert places.tolist() == list(range(end, end + lengths[number]))
            end += lengths[number]
            assert (values[row, places, 0] == number).all()
            assert values[row, places, 1].tolist() == list(range(lengths[number]))
            assert packed.values["n"][row, segment - 1] == number
            found.append(int(number))
        assert not ids[row, end:].any() and not values[row, end:].any()
    return found


LENGTHS = st.lists(st.integers(0, STEPS), min_size=1, max_size=30)


@given(lengths=LENGTHS)
@settings(max_examples=60, deadline=None)
def test_pack_is_first_fit_decreasing(lengths):
    packed = pack(examples_of(lengths), steps=STEPS)
    assert sorted(require_packed(packed, lengths)) == list(range(len(lengths)))
    assert len(packed.rows) == naive_first_fit(sorted(lengths, reverse=True), STEPS)
    assert packed.efficiency == pytest.approx(sum(lengths) / (STEPS * len(packed.rows)))


@given(lengths=LENGTHS, batch_size=st.integers(1, 4), seed=st.none() | st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_example_comes_once_an_epoch_in_one_shape(lengths, batch_size, seed):
    batches = packed_batches(examples_of(lengths), steps=STEPS, batch_size=batch_size, seed=seed)
    for epoch in range(2):
        found = [batches[epoch * len(batches) + i] for i in range(len(batches))]
        numbers = [number for packed in found for number in require_packed(packed, lengths)]
        assert sorted(numbers) == list(range(len(lengths)))
        assert len({(packed.values["x"].shape, packed.rows.shape) for packed in found}) == 1
        filled = sum(int((packed.segments.ids > 0).sum()) for packed in found)
        assert batches.padding_share == pytest.approx(
            1 - filled / (len(found) * batch_size * STEPS)
        )


def test_with_a_seed_epochs_differ_and_a_batch_is_a_function_of_its_number():
    lengths = [3, 3, 3, 5, 5, 5, 5, 7, 2, 2]
    make = lambda seed: packed_batches(  # noqa: E731
        examples_of(lengths), steps=STEPS, batch_size=2, seed=seed
    )
    batches, n = make(1), len(make(1))
    rows = [batches[i].rows.tolist() for i in range(2 * n)]
    again = make(1)
    assert [again[i].rows.tolist() for i in reversed(range(2 * n))] == rows[::-1]
    assert rows[:n] != rows[n:] and make(2)[0].rows.tolist() != rows[0]
    assert [make(None)[i].rows.tolist() for i in range(n)] == [
        make(None)[n + i].rows.tolist() for i in range(n)
    ]


def test_shares_of_processes_are_the_whole_batch():
    batches = packed_batches(examples_of([5, 6, 7, 1, 2, 3, 9]), steps=STEPS, batch_size=3, seed=0)
    for i in range(2 * len(batches)):
        shares = [batches.shard(index, 2)[i] for index in range(2)]
        got = jax.tree.map(lambda *leaves: np.concatenate(leaves), *shares)
        for leaf, whole in zip(jax.tree.leaves(got), jax.tree.leaves(batches[i]), strict=True):
            assert len(leaf) == 4 and ((leaf[3] == -1).all() or not leaf[3].any())
            np.testing.assert_array_equal(leaf[:3], whole)


def test_packed_examples_are_computed_as_if_alone():
    rng = np.random.default_rng(0)
    examples = [rng.normal(size=[n, 3]).astype("f") for n in (4, 2, 6, 3, 1)]
    packed = pack(examples, steps=8)
    params = init_bidirectional(GRU, jax.random.key(0), input_size=3, hidden_size=5)
    _, ys = bidirectional(GRU, params, jnp.array(packed.values), packed.segments)
    lengths = jnp.array([len(x) for x in examples])
    alone = np.zeros([5, 8, 3], "f")
    for i, x in enumerate(examples):
        alone[i, : len(x)] = x
    _, want = bidirectional(GRU, params, jnp.array(alone), lengths)
    for row, numbers in enumerate(packed.rows):
        for segment, number in enumerate(numbers[numbers >= 0], start=1):
            got = np.asarray(ys[row])[packed.segments.ids[row] == segment]
            np.testing.assert_allclose(got, want[number, : len(got)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: pack([[1] * 3, [1] * 9], steps=8), "Example 1 has 9 steps, more than steps=8"),
        (lambda: pack([(np.ones(3), np.ones(4))]), "those of example 0 have leaf 0: 3, leaf 1: 4"),
        (lambda: pack([1, 2]), "An example must have a ragged leaf here; it has scalars only"),
        (lambda: pack([[1] * 3, [1] * 4], batch_size=1), "need 2 rows, more than batch_size=1"),
        (
            lambda: packed_batches([[1]], steps=4, batch_size=2, drop_remainder=True),
            "1 rows do not fill a batch of 2",
        ),
    ],
)
def test_what_cannot_be_packed_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
