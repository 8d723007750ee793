"""Options that the functions of birnn_jax.data share: batches left out, lengths known before."""

import numpy as np
import pytest

from birnn_jax.data import pack, packed_batches, padded_batches, windows

LENGTHS = [3, 7, 1, 5, 2]
MAKERS = {
    "padded by rows": lambda source, **options: padded_batches(source, batch_size=2, **options),
    "padded by steps": lambda source, **options: padded_batches(
        source, tokens_per_batch=16, buckets=(4, 8), **options
    ),
    "packed": lambda source, **options: packed_batches(source, steps=8, batch_size=2, **options),
    "windows": lambda source, **options: windows(source, steps=2, batch_size=2, **options),
}


class Counting:
    """Examples, and how often one was read."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.examples = [rng.integers(1, 9, n) for n in LENGTHS]
        self.read = 0

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        self.read += 1
        return self.examples[index]


def assert_same(batches, others):
    assert len(batches) == len(others)
    for one, two in zip(batches, others, strict=True):
        np.testing.assert_array_equal(one.values, two.values)
        np.testing.assert_array_equal(one.rows, two.rows)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_batches_with_empty_rows_are_left_out_and_no_others(make, seed):
    every = [*make(Counting(), seed=seed)]
    full = [batch for batch in every if (batch.rows >= 0).reshape(len(batch.rows), -1).any(1).all()]
    assert 0 < len(full) < len(every)
    assert_same([*make(Counting(), seed=seed, drop_remainder=True)], full)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_no_more_than_one_example_is_read_before_batches_where_lengths_are_known(make):
    sources = Counting(), Counting()
    batches, usual = make(sources[0], lengths=LENGTHS, seed=1), make(sources[1], seed=1)
    assert sources[0].read <= 1 < sources[1].read
    assert_same([*batches], [*usual])


def test_rows_that_are_not_needed_are_empty():
    examples = Counting().examples
    packed, more = pack(examples, steps=8), pack(examples, steps=8, batch_size=5)
    assert len(packed.rows) < 5
    for some, of_more in ((packed.values, more.values), (packed.segments.ids, more.segments.ids)):
        np.testing.assert_array_equal(of_more[: len(some)], some)
        assert len(of_more) == 5 and not of_more[len(some) :].any()
    assert (more.rows[len(packed.rows) :] == -1).all()
