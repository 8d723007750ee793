"""Decoders of CTC against the enumeration of all paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Mask, Segments
from birnn_jax.heads import ctc_beam_decode, ctc_greedy_decode
from tests.library._cases import assert_close, random_like
from tests.library._ctc_paths import (
    CASES,
    LOGITS,
    B,
    K,
    T,
    collapse,
    dirty,
    log_probs_of_labels,
    rows_of,
)

greedy = jax.jit(ctc_greedy_decode, static_argnames="blank")
beam = jax.jit(ctc_beam_decode, static_argnames=("width", "blank"))
every_case = pytest.mark.parametrize(("lengths", "mask", "blank"), CASES.values(), ids=CASES.keys())


@every_case
def test_greedy_takes_the_best_path(lengths, mask, blank):
    labels, label_lengths = greedy(dirty(LOGITS, mask), lengths, blank=blank)
    best = np.asarray(LOGITS.argmax(axis=-1))
    want = [collapse(best[b, valid], blank) for b, valid in enumerate(mask)]
    assert rows_of(labels, label_lengths) == want
    assert labels.shape == (B, T) and labels.dtype == label_lengths.dtype == jnp.int32


def test_greedy_merges_across_a_gap():
    path, valid = jnp.array([[1, 0, 1, 2]]), jnp.array([[True, False, True, True]])
    labels, length = greedy(jax.nn.one_hot(path, K), Mask(valid))
    assert labels[0, : int(length[0])].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("path", "labels"),
    [([1, 1, 0, 1], [1, 1]), ([0, 0, 0, 0], []), ([1, 2, 1, 2], [1, 2, 1, 2]), ([2] * 4, [2])],
)
def test_greedy_merges_before_it_removes(path, labels):
    got, length = greedy(jax.nn.one_hot(jnp.array([path]), K))
    assert got[0, : int(length[0])].tolist() == labels and length[0] == len(labels)


@every_case
def test_a_wide_beam_is_exact(lengths, mask, blank):
    width = 40  # more than the 31 rows of up to four of two labels
    labels, label_lengths, log_probs = beam(dirty(LOGITS, mask), lengths, width=width, blank=blank)
    assert labels.shape == (B, width, T) and label_lengths.shape == (B, width)
    for b, valid in enumerate(mask):
        want = log_probs_of_labels(LOGITS[b, valid], blank)
        order = sorted(want, key=want.get, reverse=True)
        assert rows_of(labels[b], label_lengths[b])[: len(order)] == order
        scores = np.array([want[row] for row in order])
        assert_close(log_probs[b, : len(order)], scores)
        assert np.isneginf(log_probs[b, len(order) :]).all()


def _slow_beam(log_probs, width, blank):
    """Prefix beam search over dictionaries."""
    kept = {(): (0.0, -np.inf)}
    for scores in np.asarray(log_probs, np.float64):
        new = {}

        def add(row, end, score, new=new):
            pair = list(new.get(row, (-np.inf, -np.inf)))
            pair[end] = np.logaddexp(pair[end], score)
            new[row] = tuple(pair)

        for row, (in_blank, in_label) in kept.items():
            add(row, 0, np.logaddexp(in_blank, in_label) + scores[blank])
            for label, score in enumerate(scores):
                if label != blank and row[-1:] == (label,):
                    add(row, 1, in_label + score)
                    add((*row, label), 1, in_blank + score)
                elif label != blank:
                    add((*row, label), 1, np.logaddexp(in_blank, in_label) + score)
        kept = dict(sorted(new.items(), key=lambda item: -np.logaddexp(*item[1]))[:width])
    return {row: np.logaddexp(*pair) for row, pair in kept.items()}


@pytest.mark.parametrize("width", [1, 3, 6])
def test_a_narrow_beam_keeps_what_a_dictionary_would(width):
    logits = 1.5 * random_like(jnp.zeros([3, 12, 5]), 4)
    labels, lengths, log_probs = beam(logits, width=width, blank=1)
    for b in range(3):
        want = _slow_beam(jax.nn.log_softmax(logits[b]), width, 1)
        assert rows_of(labels[b], lengths[b]) == list(want)
        np.testing.assert_allclose(log_probs[b], list(want.values()), rtol=1e-5)


def test_a_beam_is_exact_among_impossible_labels():
    """Beginnings die, such as the empty one in the second step; no row may stand there twice."""
    no = -jnp.inf
    logits = jnp.array([[[0, 0, 0], [no, no, 0], [no, 0, 0], [0, 0, no]]])
    labels, lengths, log_probs = beam(logits, width=60)
    want = {
        row: score for row, score in log_probs_of_labels(logits[0], 0).items() if score > -jnp.inf
    }
    alive = np.isfinite(log_probs[0])
    got = dict(zip(rows_of(labels[0][alive], lengths[0][alive]), log_probs[0][alive], strict=True))
    assert len(got) == alive.sum() and got.keys() == want.keys()
    assert_close(got, want)


def test_a_beam_finds_labels_that_no_single_path_shows():
    """Two paths of 0.3 against one of 0.4, from Graves's example."""
    steps = jnp.log(jnp.array([[[0.6, 0.4], [0.6, 0.4]]]))
    assert greedy(steps)[1].tolist() == [0]
    labels, lengths, log_probs = beam(steps, width=2)
    assert rows_of(labels[0], lengths[0])[0] == (1,)
    assert jnp.exp(log_probs[0]).round(4).tolist() == pytest.approx([0.64, 0.36])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ctc_greedy_decode(x, blank=-1), "blank must be at least 0, got -1"),
        (lambda x: ctc_beam_decode(x, width=0), "width must be at least 1"),
        (
            lambda x: ctc_greedy_decode(x, Segments(jnp.array([[1, 1, 2, 2], [1, 2, 2, 0]]))),
            "lengths must be integers or a Mask, got Segments",
        ),
        (lambda x: ctc_greedy_decode(x[0]), r"logits must be \[B, T, K\]"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros([2, 4, 3]))
