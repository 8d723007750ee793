"""Beam search against the enumeration of all sequences, and against a slow one over lists."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax.heads import beam_search, greedy_search

B, V, STEPS, BEGIN, END = 3, 4, 4, 2, 3
RNG = np.random.default_rng(1)
# A token after the two before it, so that the state must follow its parent; different in each row,
# and not normalised; and a token that row 1 never writes.
TABLE = (2.0 * RNG.normal(size=[B, V, V, V]) + 5).astype(np.float32)
TABLE[1, ..., 0] = -np.inf


def step(context, state, token):
    return {"before": token}, context["table"][state["before"], token]


@functools.partial(jax.jit, static_argnames=("width", "length", "penalty"))
def search(table, *, width, length=STEPS, penalty=0.0):
    context, state = {"table": table}, {"before": jnp.zeros([len(table)], jnp.int32)}
    marks = {"begin": BEGIN, "end": END, "max_length": length}
    if width is None:
        return greedy_search(step, context, state, **marks)
    return beam_search(step, context, state, **marks, width=width, length_penalty=penalty)


def log_softmax(logits):
    logits = np.asarray(logits, np.float64)
    return logits - np.logaddexp.reduce(logits, axis=-1)[..., None]


def everything(table, penalty, length=STEPS):
    """All sequences that end within so many tokens, best first; where none does, those cut off."""
    log_probs, ended, cut = log_softmax(table), {}, {}
    for n in range(length + 1):
        for row in itertools.product(range(V), repeat=n):
            if END in row:
                continue
            total, places = 0.0, [0, BEGIN, *row]
            for place in range(n):
                total += log_probs[places[place], places[place + 1], places[place + 2]]
            if n == length:
                cut[row] = total / ((5 + n) / 6) ** penalty
            else:
                total += log_probs[places[-2], places[-1], END]
                ended[row] = total / ((6 + n) / 6) ** penalty
    scores = ended if np.isfinite([*ended.values()]).any() else cut
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    return [pair for pair in ranked if np.isfinite(pair[1])]


def rows_of(tokens, lengths):
    behind = np.arange(tokens.shape[-1]) >= np.asarray(lengths)[..., None]
    assert (np.asarray(tokens)[behind] == -1).all()
    return [tuple(row[:n]) for row, n in zip(tokens.tolist(), lengths.tolist(), strict=True)]


@pytest.mark.parametrize("penalty", [0.0, 1.5])
def test_a_wide_beam_is_exact_in_every_row(penalty):
    found = search(TABLE, width=45, penalty=penalty)
    for b in range(B):
        want = everything(TABLE[b], penalty)
        count = len(want)
        assert count == (15 if b == 1 else 40)
        assert rows_of(found.tokens[b], found.lengths[b])[:count] == [row for row, _ in want]
        np.testing.assert_allclose(found.scores[b, :count], [s for _, s in want], rtol=1e-5)
        assert np.isneginf(found.scores[b, count:]).all()
        assert (np.asarray(found.lengths[b, count:]) == 0).all()


def slow(table, width, penalty):
    """The same over lists, to the last step."""
    log_probs, going, ended = log_softmax(table), [((), 0.0)], []
    for _ in range(STEPS):
        grown = []
        for row, score in going:
            context = (0, BEGIN, *row)[-2:]
            for token in range(V):
                pair = (*row, token), score + log_probs[(*context, token)]
                (ended if token == END else grown).append(pair)
        going = sorted(grown, key=lambda item: -item[1])[:width]
    ranked = [(row[:-1], score / ((5 + len(row)) / 6) ** penalty) for row, score in ended]
    return sorted(ranked, key=lambda item: -item[1])[:width]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_narrow_beam_keeps_what_lists_would_though_it_stops_sooner(width):
    found = search(TABLE, width=width, penalty=0.7)
    for b in range(B):
        want = slow(TABLE[b], width, 0.7)
        assert rows_of(found.tokens[b], found.lengths[b]) == [row for row, _ in want]
        np.testing.assert_allclose(found.scores[b], [score for _, score in want], rtol=1e-5)


def test_a_search_is_over_once_nothing_can_be_better():
    steps = []

    def counted(context, state, token):
        jax.debug.callback(lambda _: steps.append(0), token)
        return state, jnp.where(token == BEGIN, jnp.array([0.0, 0, 0, 9]), jnp.zeros(4))

    marks = {"begin": BEGIN, "end": END, "max_length": 50, "width": 1}
    beam_search(counted, None, jnp.zeros([2]), **marks)
    jax.effects_barrier()
    assert len(steps) == 2  # one step of two rows


def test_a_search_goes_on_while_a_long_sequence_could_still_be_better():
    def unlikely_but_long(context, state, token):  # 0 once, then 1 for certain, and the end
        first = jnp.log(jnp.array([0.45, 1e-9, 1e-9, 0.55]))
        later = jnp.where(jnp.arange(V) == jnp.where(state < 9, 1, END), 0.0, -jnp.inf)
        return state + 1, jnp.where(state == 0, first, later)

    marks = {"begin": BEGIN, "end": END, "max_length": 10, "width": 1, "length_penalty": 1.0}
    found = beam_search(unlikely_but_long, None, jnp.zeros([1], jnp.int32), **marks)
    assert rows_of(found.tokens[0], found.lengths[0]) == [(0, *[1] * 8)]
    assert float(found.scores[0, 0]) == pytest.approx(np.log(0.45) / (15 / 6), rel=1e-5)


def test_sequences_that_never_end_are_cut_off():
    never = TABLE.copy()
    never[0, ..., END] = -np.inf
    found = search(never, width=81, penalty=1.5)
    want = everything(never[0], 1.5)
    assert rows_of(found.tokens[0], found.lengths[0])[: len(want)] == [row for row, _ in want]
    np.testing.assert_allclose(found.scores[0, : len(want)], [s for _, s in want], rtol=1e-5)
    others = search(TABLE, width=81, penalty=1.5)
    np.testing.assert_array_equal(found.tokens[1:], others.tokens[1:])


def test_greedy_search_takes_the_likeliest_token_at_every_step():
    found = search(TABLE, width=None, length=6)
    log_probs = log_softmax(TABLE)
    for b, row in enumerate(rows_of(found.tokens, found.lengths)):
        want, before, last, total = [], 0, BEGIN, 0.0
        while len(want) < 6:
            token = int(log_probs[b, before, last].argmax())
            total += log_probs[b, before, last, token]
            if token == END:
                break
            want.append(token)
            before, last = last, token
        assert row == tuple(want)
        assert float(found.scores[b]) == pytest.approx(total, rel=1e-5)
    assert len({*found.lengths.tolist()}) > 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width must be at least 1"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"length_penalty": -1.0}, "length_penalty must be at least 0, got -1.0."),
        ({"state": ()}, r"state must have arrays \[B, ...\]"),
        ({"state": (jnp.zeros([2]), jnp.zeros([3]))}, r"got shapes \[\(2,\), \(3,\)\]"),
        ({"step": lambda c, s, t: (s, jnp.zeros([1, 4]))}, r"got logits of shape \(1, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"step": lambda c, s, t: (s, jnp.zeros(4)), "context": None, "state": jnp.zeros([2])}
    given |= {"begin": BEGIN, "end": END, "max_length": 3, "width": 2, **change}
    with pytest.raises(ValueError, match=message):
        beam_search(**given)
