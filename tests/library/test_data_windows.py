"""Windows of streams: every step once, carries of each stream alone, in the order of old runs."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn_jax import LSTM, Layer, init_stack, stack, streaming
from birnn_jax.data import windows


def streams_of(lengths):
    """Each step says of which stream it is, and which of its steps."""
    return [np.stack([np.full(n, i), np.arange(n)], axis=1) for i, n in enumerate(lengths)]


@given(
    lengths=st.lists(st.integers(0, 20), min_size=1, max_size=12).filter(any),
    steps=st.integers(1, 7),
    batch_size=st.integers(1, 4),
    seed=st.none() | st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_rows_go_on_until_their_stream_ends(lengths, steps, batch_size, seed):
    batches = windows(streams_of(lengths), steps=steps, batch_size=batch_size, seed=seed)
    for epoch in range(2):
        read = collections.defaultdict(list)
        before = np.full([batch_size], -1)
        valid = 0
        for i in range(len(batches)):
            window = batches[epoch * len(batches) + i]
            assert window.values.shape == (batch_size, steps, 2)
            for row, number in enumerate(window.rows):
                values = window.values[row]
                n = window.lengths[row]
                assert (n > 0) == (number >= 0) and not values[n:].any()
                assert window.starts[row] == (number >= 0 and not read[number])
                assert number < 0 or window.starts[row] or before[row] == number
                read[number] += values[:n].tolist()
                valid += n
            before = window.rows
        assert read.pop(-1, []) == []
        for number, found in read.items():
            assert found == [[number, step] for step in range(lengths[number])]
        assert valid == sum(lengths)
        assert batches.padding_share == pytest.approx(
            1 - valid / (len(batches) * batch_size * steps)
        )
    heaviest = -(-np.array(lengths) // steps)
    assert len(batches) <= max(heaviest) + (sum(heaviest) - max(heaviest)) / batch_size + 1


def test_epoch_ends_with_the_first_row_where_the_rest_is_dropped():
    batches = windows(streams_of([9, 4, 3]), steps=2, batch_size=2, drop_remainder=True)
    assert len(batches) == 4 and all((window.rows >= 0).all() for window in batches)
    with pytest.raises(ValueError, match="do not fill one window of 2 steps in each of 4 rows"):
        windows(streams_of([9, 4, 3]), steps=2, batch_size=4, drop_remainder=True)
    with pytest.raises(ValueError, match="do not fill one window"):
        windows(streams_of([0, 0]), steps=2, batch_size=1)


def test_order_is_that_of_recorded_trainings():
    pieces = [np.arange(start, start + 4) for start in range(0, 40, 4)]
    batches = windows(pieces, steps=4, batch_size=3, seed=5, drop_remainder=True)
    for epoch in range(2):
        order = np.random.default_rng([5, epoch]).permutation(10)
        assert len(batches) == 3
        for i in range(3):
            window = batches[3 * epoch + i]
            assert window.rows.tolist() == order[3 * i : 3 * i + 3].tolist()
            assert window.values[:, 0].tolist() == (4 * window.rows).tolist()
            assert window.starts.all()


def test_shares_of_processes_are_the_whole_batch():
    batches = windows(streams_of([7, 3, 8, 2, 1]), steps=3, batch_size=3, seed=1)
    for i in range(2 * len(batches)):
        shares = [batches.shard(index, 2, row_multiple=4)[i] for index in range(2)]
        got = jax.tree.map(lambda *leaves: np.concatenate(leaves), *shares)
        assert got.rows[3] == -1 and got.lengths[3] == 0
        for leaf, whole in zip(jax.tree.leaves(got), jax.tree.leaves(batches[i]), strict=True):
            np.testing.assert_array_equal(leaf[:3], whole)


def test_carries_are_those_of_each_stream_alone():
    rng = np.random.default_rng(0)
    streams = [rng.normal(size=[n, 3]).astype("f") for n in (9, 2, 5, 7, 4)]
    layers = (Layer(LSTM, direction="fwd"),)
    params = init_stack(layers, jax.random.key(0), input_size=3, hidden_size=4)
    initial = carry = streaming.initial_carry(layers, params, 2)
    outputs = collections.defaultdict(list)

    @jax.jit
    def read(carry, window):
        carry = streaming.carry_over(carry, initial, window.starts)
        return stack(layers, params, window.values, window.lengths, initial_carry=carry)

    for window in windows(streams, steps=3, batch_size=2, seed=3):
        carry, ys = read(carry, jax.device_put(window))
        for number, n, y in zip(window.rows, window.lengths, np.asarray(ys), strict=True):
            outputs[int(number)] += [*y[:n]]
    padded = np.zeros([5, 9, 3], "f")
    for i, x in enumerate(streams):
        padded[i, : len(x)] = x
    _, want = stack(layers, params, jnp.array(padded), jnp.array([len(x) for x in streams]))
    for i, x in enumerate(streams):
        np.testing.assert_allclose(outputs[i], want[i, : len(x)], rtol=1e-5, atol=1e-6)


def test_scalars_of_a_stream_stand_in_each_of_its_windows():
    streams = [{"x": [1] * 5, "author": 7}, {"x": [2] * 2, "author": 8}]
    found = [w.values["author"].tolist() for w in windows(streams, steps=2, batch_size=2)]
    assert found == [[7, 8], [7, 0], [7, 0]]


def test_streams_are_read_once_an_epoch():
    read = collections.Counter()

    class Files:
        def __len__(self):
            return 5

        def __getitem__(self, index):
            read[index] += 1
            return list(range([9, 4, 6, 1, 0][index]))

    batches = windows(Files(), steps=2, batch_size=2, seed=0, lengths=[9, 4, 6, 1, 0])
    read.clear()
    found = [batches[i].values.tolist() for i in range(len(batches))]
    assert [read[number] for number in range(5)] == [1, 1, 1, 1, 0]
    again = [batches[len(batches) + i].values.tolist() for i in range(len(batches))]
    assert [read[number] for number in range(5)] == [2, 2, 2, 2, 0] and again != found
