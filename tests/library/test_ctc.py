"""CTC against the enumeration of all paths."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Mask, Segments
from birnn_jax.heads import ctc_beam_decode, ctc_greedy_decode, ctc_loss
from tests.library._cases import assert_close, random_like

B, T, K, N = 4, 4, 3, 3
LENGTHS = np.array([4, 2, 0, 3])
MASK = np.arange(T) < LENGTHS[:, None]
# A gap, padding on the left, nothing at all, no gap.
GAPS = np.array([[1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)

loss = jax.jit(ctc_loss, static_argnames="blank")
greedy = jax.jit(ctc_greedy_decode, static_argnames="blank")
beam = jax.jit(ctc_beam_decode, static_argnames=("width", "blank"))

every_blank = pytest.mark.parametrize("blank", [0, 2])
every_visit = pytest.mark.parametrize(
    ("lengths", "mask"), [(LENGTHS, MASK), (Mask(GAPS), GAPS)], ids=["lengths", "gaps"]
)


@pytest.fixture
def logits():
    return 2 * random_like(jnp.zeros([B, T, K]), 2)


def _collapse(path, blank):
    merged = [label for label, _ in itertools.groupby(path)]
    return tuple(label for label in merged if label != blank)


def _log_probs(logits, length, blank):
    """Of every row of labels that the steps can make."""
    paths = list(itertools.product(range(K), repeat=int(length)))
    labels, steps = np.array(paths, int).reshape(len(paths), -1), jax.nn.log_softmax(logits)
    scores = sum((steps[t][labels[:, t]] for t in range(length)), jnp.zeros(len(paths)))
    places = {}
    for place, path in enumerate(paths):
        places.setdefault(_collapse(path, blank), []).append(place)
    return {row: jax.nn.logsumexp(scores[np.array(of)]) for row, of in places.items()}


def _rows(labels, lengths):
    """Checks what stands behind the labels, too."""
    behind = np.arange(labels.shape[-1]) >= np.asarray(lengths)[:, None]
    assert (np.asarray(labels)[behind] == -1).all()
    return [tuple(row[:n]) for row, n in zip(labels.tolist(), lengths.tolist(), strict=True)]


@every_visit
@every_blank
def test_loss_and_gradients_equal_those_of_enumeration(logits, blank, lengths, mask):
    a, b = [label for label in range(K) if label != blank]
    labels = jnp.array([[a, a, b], [b, 9, 9], [9, 9, 9], [9, 9, 9]])
    label_lengths = np.array([2, 1, 0, 0])

    def brute_force(logits):
        rows = [(a, a), (b,), (), ()]
        steps = [logits[i, valid] for i, valid in enumerate(mask)]
        scores = [
            _log_probs(one, len(one), blank)[row] for one, row in zip(steps, rows, strict=True)
        ]
        return -sum(scores)

    def of_library(logits):
        return ctc_loss(logits, lengths, labels, label_lengths, blank=blank).sum

    dirty = jnp.where(mask[..., None], logits, jnp.nan)
    want = jax.jit(jax.value_and_grad(brute_force))(logits)
    assert_close(jax.jit(jax.value_and_grad(of_library))(dirty), want)


def test_loss_counts_rows_that_have_steps(logits):
    labels = jnp.arange(B)[:, None] % 2 + 1
    assert float(loss(logits, LENGTHS, labels, None).count) == 3
    assert float(loss(logits, None, labels, None).count) == B


def test_loss_without_lengths_takes_all_labels_and_steps(logits):
    labels = jnp.array([[1, 2]] * B)
    full = loss(logits, np.full(B, T), labels, np.full(B, 2))
    assert_close(loss(logits, None, labels, None), full)
    assert loss(logits, LENGTHS, labels, None).sum != full.sum
    assert loss(logits, None, labels, np.full(B, 1)).sum != full.sum


def test_labels_that_do_not_fit_have_a_huge_finite_loss(logits):
    nats = loss(logits[:1], np.array([2]), jnp.array([[1, 1]]), None).sum
    assert 9e4 < nats < 2e5


def test_a_mask_of_labels_leaves_some_out(logits):
    some = loss(logits, LENGTHS, jnp.array([[1, 2]] * B), Mask(jnp.array([[False, True]] * B)))
    assert_close(some, loss(logits, LENGTHS, jnp.array([[2]] * B), None))


@every_visit
@every_blank
def test_greedy_takes_the_best_path(logits, blank, lengths, mask):
    dirty = jnp.where(mask[..., None], logits, jnp.nan)
    labels, label_lengths = greedy(dirty, lengths, blank=blank)
    best = np.asarray(logits.argmax(axis=-1))
    want = [_collapse(best[b, valid], blank) for b, valid in enumerate(mask)]
    assert _rows(labels, label_lengths) == want
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


@every_visit
@every_blank
def test_a_wide_beam_is_exact(logits, blank, lengths, mask):
    width = 40  # more than the 31 rows of up to four of two labels
    dirty = jnp.where(mask[..., None], logits, jnp.nan)
    labels, label_lengths, log_probs = beam(dirty, lengths, width=width, blank=blank)
    assert labels.shape == (B, width, T) and label_lengths.shape == (B, width)
    for b, valid in enumerate(mask):
        want = _log_probs(logits[b, valid], valid.sum(), blank)
        order = sorted(want, key=want.get, reverse=True)
        assert _rows(labels[b], label_lengths[b])[: len(order)] == order
        scores = jnp.stack([want[row] for row in order])
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
        assert _rows(labels[b], lengths[b]) == list(want)
        np.testing.assert_allclose(log_probs[b], list(want.values()), rtol=1e-5)


def test_a_beam_is_exact_among_impossible_labels():
    """Beginnings die, such as the empty one in the second step; no row may stand there twice."""
    no = -jnp.inf
    logits = jnp.array([[[0, 0, 0], [no, no, 0], [no, 0, 0], [0, 0, no]]])
    labels, lengths, log_probs = beam(logits, width=60)
    want = {row: score for row, score in _log_probs(logits[0], 4, 0).items() if score > -jnp.inf}
    alive = np.isfinite(log_probs[0])
    got = dict(zip(_rows(labels[0][alive], lengths[0][alive]), log_probs[0][alive], strict=True))
    assert len(got) == alive.sum() and got.keys() == want.keys()
    assert_close(got, want)


def test_a_beam_finds_labels_that_no_single_path_shows():
    """Two paths of 0.3 against one of 0.4, from Graves's example."""
    steps = jnp.log(jnp.array([[[0.6, 0.4], [0.6, 0.4]]]))
    assert greedy(steps)[1].tolist() == [0]
    labels, lengths, log_probs = beam(steps, width=2)
    assert _rows(labels[0], lengths[0])[0] == (1,)
    assert jnp.exp(log_probs[0]).round(4).tolist() == pytest.approx([0.64, 0.36])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ctc_loss(x, None, jnp.zeros([3, 1], int)), "labels must be"),
        (lambda x: ctc_loss(x, None, jnp.zeros([2, 1], int), blank=3), "blank must be one of 3"),
        (lambda x: ctc_greedy_decode(x, blank=-1), "blank must be one of 3"),
        (lambda x: ctc_beam_decode(x, width=0), "width must be at least 1"),
        (
            lambda x: ctc_greedy_decode(x, Segments(jnp.array([[1, 1, 2, 2], [1, 2, 2, 0]]))),
            "takes lengths or a Mask, got Segments",
        ),
        (lambda x: ctc_greedy_decode(x[0]), r"must be \[B, T, D\]"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(jnp.zeros([2, 4, 3]))
