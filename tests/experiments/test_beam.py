"""Beam search against the enumeration of all sequences, and against a slow one over lists."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.translation.search import beam_search, length_penalty

V, STEPS, BEGIN, END = 4, 4, 2, 3


@pytest.fixture(scope="module")
def table():
    """Log-probabilities of a token after the two before: a state that must follow its parent."""
    rng = np.random.default_rng(1)
    return jax.nn.log_softmax(jnp.array(2.0 * rng.normal(size=[V, V, V]), jnp.float32))


@functools.partial(jax.jit, static_argnames=("width", "steps", "penalty"))
def search(table, *, width, steps=STEPS, penalty=0.0):
    def step(states, tokens):
        before = states["before"]
        return {"before": tokens}, table[before, tokens]

    state = {"before": jnp.array(0)}
    options = {"begin": BEGIN, "end": END, "num_steps": steps, "width": width}
    return beam_search(step, state, **options, penalty=penalty)


def log_prob(table, tokens):
    before, last, total = 0, BEGIN, 0.0
    for token in (*tokens, END):
        total += float(table[before, last, token])
        before, last = last, token
    return total


def everything(table, penalty):
    """All sequences of up to three tokens and an end, best first."""
    rows = [
        row for n in range(STEPS) for row in itertools.product(range(V), repeat=n) if END not in row
    ]
    scores = {row: log_prob(table, row) / ((6 + len(row)) / 6) ** penalty for row in rows}
    return sorted(scores.items(), key=lambda item: -item[1])


def rows_of(found):
    lengths = found.lengths.tolist()
    behind = [row[n:] for row, n in zip(found.tokens.tolist(), lengths, strict=True)]
    assert all(token == END for row in behind for token in row)
    return [tuple(row[:n]) for row, n in zip(found.tokens.tolist(), lengths, strict=True)]


@pytest.mark.parametrize("penalty", [0.0, 1.5])
def test_a_wide_beam_is_exact(table, penalty):
    want = everything(table, penalty)
    found = search(table, width=45, penalty=penalty)
    assert rows_of(found)[: len(want)] == [row for row, _ in want]
    np.testing.assert_allclose(found.scores[: len(want)], [score for _, score in want], rtol=1e-5)
    assert np.isneginf(found.scores[len(want) :]).all()


def slow(table, width, penalty):
    """The same over lists."""
    going, ended = [((), 0.0)], []
    for place in range(STEPS):
        grown = []
        for row, score in going:
            context = (0, BEGIN, *row)[-2:]
            for token in range(V):
                pair = (*row, token), score + float(table[(*context, token)])
                (ended if token == END else grown).append(pair)
        going = sorted(grown, key=lambda item: -item[1])[:width]
        del place
    ranked = [(row[:-1], score / ((5 + len(row)) / 6) ** penalty) for row, score in ended]
    return sorted(ranked, key=lambda item: -item[1])[:width]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_narrow_beam_keeps_what_lists_would(table, width):
    found = search(table, width=width, penalty=0.7)
    want = slow(table, width, 0.7)
    assert rows_of(found) == [row for row, _ in want]
    np.testing.assert_allclose(found.scores, [score for _, score in want], rtol=1e-5)


def test_rows_of_a_batch_are_searched_alone(table):
    tables = jnp.stack([table, table[::-1]])
    both = jax.vmap(lambda one: search(one, width=3))(tables)
    alone = [search(one, width=3) for one in tables]
    np.testing.assert_array_equal(both.tokens, jnp.stack([one.tokens for one in alone]))
    assert rows_of(alone[0]) != rows_of(alone[1])


def test_a_penalty_makes_long_sequences_cheaper():
    assert float(length_penalty(7, 2.0)) == pytest.approx(4.0)
    assert float(length_penalty(1, 2.0)) == 1.0
