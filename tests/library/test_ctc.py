"""CTC against the enumeration of all paths, and long rows against float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Mask, Segments
from birnn_jax.heads import ctc_align, ctc_greedy_decode, ctc_log_likelihood, ctc_loss
from tests.library._cases import assert_close, random_like
from tests.library._ctc_paths import (
    CASES,
    LENGTHS,
    LOGITS,
    B,
    K,
    T,
    all_paths,
    dirty,
    log_softmax,
)

FORBIDDING = LOGITS.at[0, 3, 0].set(-jnp.inf).at[1, 1].set(-jnp.inf).at[3, 1, 1].set(-jnp.inf)
every_case = pytest.mark.parametrize(("lengths", "mask", "blank"), CASES.values(), ids=CASES.keys())
every_logits = pytest.mark.parametrize("logits", [LOGITS, FORBIDDING], ids=["finite", "forbidding"])

loss = jax.jit(ctc_loss, static_argnames=("blank", "zero_infinity"))
align = jax.jit(ctc_align, static_argnames="blank")


@jax.jit(static_argnames="blank")
def log_likelihood_and_grads(logits, lengths, labels, label_lengths, *, blank=0):
    """`[B]`, and the gradient of their sum."""
    run = lambda x: ctc_log_likelihood(x, lengths, labels, label_lengths, blank=blank)  # noqa: E731
    values, pull = jax.vjp(run, logits)
    return values, pull(jnp.ones_like(values))[0]


def _labels(blank):
    """Rows of labels, padded with what is none, and their lengths; the last needs four steps."""
    a, b = [label for label in range(K) if label != blank]
    return np.array([[a, a, 9], [b, 9, 9], [9, 9, 9], [a, b, b]]), np.array([2, 1, 0, 3])


def _of_enumeration(logits, mask, blank):
    """Log-likelihoods, and what is counted on the paths of the labels less what is expected."""
    values, grads = np.zeros(B), np.zeros([B, T, K])
    labels, lengths = _labels(blank)
    for b, valid in enumerate(mask):
        steps = np.flatnonzero(valid)
        paths = all_paths(logits[b, valid], blank).get(tuple(labels[b, : lengths[b]].tolist()), {})
        values[b] = np.logaddexp.reduce([-np.inf, *paths.values()])
        if np.isneginf(values[b]):
            continue
        grads[b, steps] = -np.exp(log_softmax(logits[b, valid]))
        for path, score in paths.items():
            grads[b, steps, path] += np.exp(score - values[b])
    return values, grads


@every_case
@every_logits
def test_log_likelihood_and_gradients_equal_those_of_enumeration(logits, lengths, mask, blank):
    given = dirty(logits, mask), lengths, *_labels(blank)
    want = _of_enumeration(logits, mask, blank)
    assert_close(log_likelihood_and_grads(*given, blank=blank), want)
    possible, counted = np.isfinite(want[0]), mask.any(axis=1)
    total = loss(*given, blank=blank, zero_infinity=True)
    kept = possible & counted
    assert_close((total.sum, total.count), (-want[0][kept].sum(), np.float64(kept.sum())))
    total = loss(*given, blank=blank)
    assert_close((total.sum, total.count), (-want[0][counted].sum(), np.float64(counted.sum())))


def test_infinite_rows_are_left_out_on_request_with_their_gradients():
    labels, lengths = (
        jnp.array([[1, 1, 1], [1, 1, 2], [1, 2, 1], [1, 2, 2]]),
        np.array([3, 2, 1, 3]),
    )

    def run(logits):
        return ctc_loss(logits, LENGTHS, labels, lengths, zero_infinity=True)

    total, pull = jax.vjp(run, LOGITS)
    assert total.count == 0 and total.sum == 0  # each needs one step more than it has
    assert not pull(total._replace(sum=jnp.float32(1)))[0].any()
    assert loss(LOGITS, LENGTHS, labels, lengths).sum == jnp.inf


@pytest.mark.parametrize("label", [0, -1, K])
def test_a_label_that_is_none_makes_its_row_nan(label):
    labels = jnp.array([[1, 2], [label, 1], [1, 2], [2, 1]])
    values, grads = log_likelihood_and_grads(LOGITS, None, labels, None)
    assert np.isnan(values).tolist() == [False, True, False, False]
    assert np.isnan(grads).any(axis=(1, 2)).tolist() == [False, True, False, False]
    found = align(LOGITS, None, labels, None)
    assert (found.path[1] == -1).all() and (found.path[0] >= 0).all()
    values, _ = log_likelihood_and_grads(LOGITS, None, labels, Mask(labels != label))
    assert np.isfinite(values).all()


def test_loss_without_lengths_takes_all_labels_and_steps():
    labels = jnp.array([[1, 2]] * B)
    full = loss(LOGITS, np.full(B, T), labels, np.full(B, 2))
    assert_close(loss(LOGITS, None, labels, None), full)
    assert loss(LOGITS, LENGTHS, labels, None).sum != full.sum
    assert loss(LOGITS, None, labels, np.full(B, 1)).sum != full.sum


def test_a_mask_of_labels_leaves_some_out():
    some = loss(LOGITS, None, jnp.array([[1, 2]] * B), Mask(jnp.array([[False, True]] * B)))
    assert_close(some, loss(LOGITS, None, jnp.array([[2]] * B), None))


def _forward_algorithm(logits, labels):
    """The log-likelihood, by the recursion over blanks and labels."""
    log_probs = log_softmax(logits)
    states = np.array([0] + [state for label in labels for state in (label, 0)])
    skips = np.append([False, False], (states[2:] != states[:-2]) & (states[2:] > 0))
    alphas = np.where(np.arange(len(states)) == 0, 0.0, -np.inf)
    for scores in log_probs[:, states]:
        one, two = (np.append([-np.inf] * by, alphas[:-by]) for by in (1, 2))
        alphas = np.logaddexp(alphas, one)
        alphas = np.logaddexp(alphas, np.where(skips, two, -np.inf)) + scores
    return np.logaddexp(alphas[-1], alphas[-2])


def test_rows_of_20_000_steps_are_exact_in_float32():
    logits = 5 * random_like(jnp.zeros([1, 20_000, K]), 7)
    labels = np.random.default_rng(8).integers(1, K, size=[1, 30])
    got = jax.jit(ctc_log_likelihood)(logits, None, labels)
    np.testing.assert_allclose(got[0], _forward_algorithm(logits[0], labels[0].tolist()), rtol=5e-7)


# Alignment.


@every_case
@every_logits
def test_alignment_is_the_best_path_of_the_labels(logits, lengths, mask, blank):
    labels, label_lengths = _labels(blank)
    found = align(dirty(logits, mask), lengths, labels, label_lengths, blank=blank)
    for b, valid in enumerate(mask):
        steps, row = np.flatnonzero(valid), tuple(labels[b, : label_lengths[b]].tolist())
        paths = all_paths(logits[b, valid], blank).get(row, {})
        path = max(paths, key=paths.get, default=())
        want = np.full(T, -1), np.full(3, -1), np.full(3, -1)
        if paths and paths[path] > -np.inf:
            want[0][steps] = path
            places = [t for t, label in enumerate(path) if label != blank]
            firsts = [t for t in places if not t or path[t - 1] != path[t]]
            lasts = [t for t in places if path[t : t + 2] != (path[t],) * 2]
            want[1][: len(row)], want[2][: len(row)] = steps[firsts], steps[lasts] + 1
        assert (found.path[b] == want[0]).all()
        assert (found.starts[b] == want[1]).all() and (found.ends[b] == want[2]).all()
        assert_close(found.log_probs[b], np.float64(paths.get(path, -np.inf)))
    assert {leaf.dtype.name for leaf in found[:3]} == {"int32"}


def test_alignment_of_greedy_labels_is_the_path_they_were_read_from():
    logits = 3 * random_like(jnp.zeros([2, 200, 5]), 9)
    labels, label_lengths = ctc_greedy_decode(logits)
    found = align(logits, None, labels, label_lengths)
    assert (found.path == logits.argmax(axis=-1)).all()
    here = np.asarray(labels)[0, : int(label_lengths[0])]
    assert (found.path[0, found.starts[0, : len(here)]] == here).all()
    assert (found.starts[0, len(here) :] == -1).all()


# Edges.


@pytest.mark.parametrize(
    ("shape", "num_labels", "want"),
    [((2, 0, K), 2, -np.inf), ((2, 0, K), 0, 0), ((0, T, K), 2, 0), ((2, T, K), 0, None)],
    ids=str,
)
def test_nothing_has_a_likelihood_too(shape, num_labels, want):
    logits = LOGITS[: shape[0], : shape[1]]
    labels = 1 + jnp.arange(shape[0] * num_labels).reshape(shape[0], num_labels) % (K - 1)
    values, grads = log_likelihood_and_grads(logits, None, labels, None)
    blanks = log_softmax(logits)[..., 0].sum(axis=1)
    assert_close(values, np.full(shape[0], want) if want is not None else blanks)
    assert grads.shape == shape and np.isfinite(grads).all()
    assert ctc_loss(logits, None, labels).count == (shape[0] if shape[1] else 0)
    found = align(logits, None, labels, None)
    assert found.path.shape == shape[:2] and found.starts.shape == labels.shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ctc_loss(x, None, jnp.zeros([3, 1], int)), "labels must be"),
        (lambda x: ctc_loss(x, None, jnp.zeros([2, 1], int), blank=3), "blank must be one of 3"),
        (
            lambda x: ctc_loss(x, np.array([4]), jnp.zeros([2, 1], int)),
            r"lengths must be \[B\] with B = 2 as in logits, got shape \(1,\)",
        ),
        (
            lambda x: ctc_loss(x, None, jnp.zeros([2, 1], int), np.array([[1], [1]])),
            r"label_lengths must be \[B\] with B = 2 as in labels, got shape \(2, 1\)",
        ),
        (
            lambda x: ctc_align(x, Segments(jnp.array([[1, 1, 2, 2]] * 2)), jnp.zeros([2, 1], int)),
            "lengths must be integers or a Mask, got Segments",
        ),
        (lambda x: ctc_align(x[0], None, jnp.zeros([2, 1], int)), r"logits must be \[B, T, K\]"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros([2, 4, 3]))
