"""The chain against the enumeration of all rows of labels, and long ones against float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Mask, Segments, Total, cross_entropy
from birnn_jax.heads import (
    CRFParams,
    crf_decode,
    crf_decode_n_best,
    crf_log_likelihood,
    crf_loss,
    crf_marginals,
    init_crf,
)
from tests.library._cases import assert_close, random_like

B, T, K = 4, 4, 3
LENGTHS = np.array([4, 2, 0, 1])
MASK = np.arange(T) < LENGTHS[:, None]
# Gaps, padding on the left, nothing at all, a row without a gap.
GAPS = np.array([[1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
LABELS = np.random.default_rng(3).integers(K, size=[B, T])
PARAMS = random_like(init_crf(num_classes=K), 1)
LOGITS = random_like(jnp.zeros([B, T, K]), 2)
INF = jnp.inf
# Label 1 leads nowhere, no row begins with 2, and rows 0 and 3 meet a label that is impossible.
FORBIDDING = (
    PARAMS._replace(
        transitions=PARAMS.transitions.at[1].set(-INF).at[2, 0].set(-INF),
        start=PARAMS.start.at[2].set(-INF),
    ),
    LOGITS.at[3, 1].set(-INF).at[0, 2, :2].set(-INF).at[1, 1, 0].set(-INF),
)
every_mask = pytest.mark.parametrize(
    ("lengths", "mask"), [(LENGTHS, MASK), (Mask(GAPS), GAPS)], ids=["lengths", "gaps"]
)
every_chain = pytest.mark.parametrize(
    ("params", "logits"), [(PARAMS, LOGITS), FORBIDDING], ids=["finite", "forbidding"]
)

loss = jax.jit(crf_loss)
marginals = jax.jit(crf_marginals)
decode = jax.jit(crf_decode)
n_best = jax.jit(crf_decode_n_best, static_argnames="n")


@jax.jit
def log_likelihood_and_grads(params, logits, labels, lengths):
    """`[B]`, and the gradients of their sum."""
    run = lambda params, logits: crf_log_likelihood(params, logits, labels, lengths)  # noqa: E731
    values, pull = jax.vjp(run, params, logits)
    return values, pull(jnp.ones_like(values))


def _float64(tree):
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def _all_rows(params, logits):
    """Every row of labels of `[n, K]` logits, with its score."""
    params, logits = _float64((params, logits))
    rows = list(itertools.product(range(K), repeat=len(logits)))
    return rows, np.array([_score(params, logits, row) for row in rows])


def _score(params, logits, row):
    if not row:
        return 0.0
    pairs = sum(params.transitions[pair] for pair in itertools.pairwise(row))
    steps = sum(logits[t, label] for t, label in enumerate(row))
    return params.start[row[0]] + steps + pairs + params.end[row[-1]]


def _shares(scores):
    """Probabilities; zero throughout where nothing is possible."""
    shares = np.exp(scores - max(scores.max(), -1e300))
    return shares / max(shares.sum(), 1e-300)


def _counts(rows, weights, num_steps):
    """How often each score is part of rows of labels, by the rows' weights."""
    counts = CRFParams(np.zeros([K, K]), np.zeros(K), np.zeros(K)), np.zeros([num_steps, K])
    for row, weight in zip(rows, weights, strict=True):
        for t, label in enumerate(row):
            counts[1][t, label] += weight
        for pair in itertools.pairwise(row):
            counts[0].transitions[pair] += weight
        if row:
            counts[0].start[row[0]] += weight
            counts[0].end[row[-1]] += weight
    return counts


def _brute_force(params, logits, mask):
    """Log-likelihoods and their gradients, those of the labels less those that are expected."""
    values, grads = (
        np.zeros(B),
        (
            _float64(
                PARAMS._replace(transitions=np.zeros([K, K]), start=np.zeros(K), end=np.zeros(K))
            ),
            np.zeros([B, T, K]),
        ),
    )
    for b, valid in enumerate(mask):
        rows, scores = _all_rows(params, logits[b, valid])
        row = tuple(LABELS[b, valid].tolist())
        shares = _shares(scores)
        with np.errstate(divide="ignore"):
            values[b] = np.log(shares[rows.index(row)])
        got, want = _counts([row], [1], valid.sum()), _counts(rows, shares, valid.sum())
        grads = (
            jax.tree.map(lambda sums, got, want: sums + got - want, grads[0], got[0], want[0]),
            grads[1],
        )
        grads[1][b, valid] = got[1] - want[1]
    return values, grads


@every_mask
@every_chain
def test_log_likelihood_and_gradients_equal_those_of_enumeration(params, logits, lengths, mask):
    dirty = jnp.where(mask[..., None], logits, jnp.nan), jnp.where(mask, LABELS, -7)
    got = log_likelihood_and_grads(params, *dirty, lengths)
    want = _brute_force(params, logits, mask)
    assert_close(got, want)
    total = loss(params, *dirty, lengths)
    assert_close((total.sum, total.count), (-want[0].sum(), np.float64(mask.sum())))


@every_mask
@every_chain
def test_marginals_equal_those_of_enumeration(params, logits, lengths, mask):
    want = np.zeros([B, T, K])
    for b, valid in enumerate(mask):
        rows, scores = _all_rows(params, logits[b, valid])
        want[b, valid] = _counts(rows, _shares(scores), valid.sum())[1]
    got = marginals(params, jnp.where(mask[..., None], logits, jnp.nan), lengths)
    assert_close(got, want)
    assert not np.asarray(got)[~mask].any()


@every_mask
@every_chain
def test_n_best_equals_the_sorted_enumeration(params, logits, lengths, mask):
    n = 12
    dirty = jnp.where(mask[..., None], logits, jnp.nan)
    labels, scores = n_best(params, dirty, lengths, n=n)
    best, best_scores = decode(params, dirty, lengths)
    assert (best == labels[:, 0]).all() and best.dtype == jnp.int32
    assert_close(best_scores, np.asarray(scores[:, 0]))
    assert labels.shape == (B, n, T) and scores.shape == (B, n)
    for b, valid in enumerate(mask):
        rows, want = _all_rows(params, logits[b, valid])
        order = [place for place in np.argsort(-want)[:n] if want[place] > -np.inf]
        assert_close(scores[b, : len(order)], want[order])
        for rank, place in enumerate(order):
            assert tuple(labels[b, rank, valid].tolist()) == rows[place]
        assert (labels[b][:, ~valid] == -1).all()
        assert np.isneginf(scores[b, len(order) :]).all()
        assert (labels[b, len(order) :] == -1).all()


# Two segments with a gap in the first, padding on the left, nothing, and only single steps.
IDS = np.array([[2, 0, 2, 1], [0, 3, 4, 4], [0, 0, 0, 0], [1, 2, 1, 4]])


@every_chain
def test_segments_are_rows_of_their_own(params, logits):
    numbers = np.where((IDS == 1) & (np.arange(T) == 2)[None], 5, IDS)  # begins a second time
    masks = [Mask(jnp.asarray(numbers == number)) for number in range(1, 6)]
    dirty = jnp.where(IDS[..., None] > 0, logits, jnp.nan), jnp.where(IDS > 0, LABELS, -7)
    got = log_likelihood_and_grads(params, *dirty, Segments(IDS))
    alone = [log_likelihood_and_grads(params, logits, LABELS, mask) for mask in masks]
    want = jax.tree.map(lambda *parts: sum(map(_float64, parts)), *alone)
    assert_close(got, want)
    total = loss(params, *dirty, Segments(IDS))
    assert_close((total.sum, total.count), (-want[0].sum(), np.float64((IDS > 0).sum())))
    alone = [_float64(marginals(params, logits, mask)) for mask in masks]
    assert_close(marginals(params, dirty[0], Segments(IDS)), sum(alone))


def test_n_best_of_segments_equal_the_sorted_enumeration():
    labels, scores = n_best(PARAMS, LOGITS, Segments(IDS), n=12)
    best, _ = decode(PARAMS, LOGITS, Segments(IDS))
    assert (best == labels[:, 0]).all()
    for b, ids in enumerate(IDS):
        places = [np.flatnonzero(ids > 0)[list(group)] for group in _runs(ids[ids > 0])]
        found = [_all_rows(PARAMS, LOGITS[b, where]) for where in places]
        want = np.sort([sum(parts) for parts in itertools.product(*(s for _, s in found))])[::-1]
        assert_close(scores[b, : len(want)], want[:12])
        for row, score in zip(labels[b], scores[b], strict=True):
            if np.isfinite(score):
                parts = zip(places, found, strict=True)
                own = [s[rows.index(tuple(row[where].tolist()))] for where, (rows, s) in parts]
                assert_close(score, np.float64(sum(own)))
        assert (labels[b][:, ids == 0] == -1).all()


def _runs(ids):
    """The places of equal neighbours."""
    groups = itertools.groupby(range(len(ids)), key=lambda place: ids[place])
    return [list(group) for _, group in groups]


def test_second_derivatives_equal_differences_of_the_first(x64):
    params, (logits, along) = jax.tree.map(jnp.float64, (FORBIDDING[0], (LOGITS, LOGITS[::-1])))
    labels = jnp.array([[0, 2, 2, 1]] * B)
    grad = jax.jit(jax.grad(lambda logits: crf_loss(params, logits, labels).sum))
    _, got = jax.jit(lambda logits: jax.jvp(grad, (logits,), (along,)))(logits)
    want = (grad(logits + 1e-5 * along) - grad(logits - 1e-5 * along)) / 2e-5
    assert np.abs(want).max() > 0.1
    np.testing.assert_allclose(got, want, atol=1e-9)


def test_without_transitions_it_is_the_cross_entropy():
    got = loss(init_crf(num_classes=K), LOGITS, LABELS, LENGTHS)
    assert_close(got, cross_entropy(LOGITS, LABELS, LENGTHS))


@pytest.mark.parametrize("label", [-1, -100, K])
def test_a_label_that_is_no_class_makes_its_row_nan_unless_it_is_left_out(label):
    labels = LABELS.copy()
    labels[0, 1] = label
    values, (_, grads) = log_likelihood_and_grads(PARAMS, LOGITS, labels, LENGTHS)
    assert np.isnan(values[0]) and np.isnan(grads[0]).any()
    assert np.isfinite(values[1:]).all() and np.isfinite(grads[1:]).all()
    valid = MASK & (labels != label)
    assert_close(
        loss(PARAMS, LOGITS, labels, Mask(valid)), loss(PARAMS, LOGITS, LABELS, Mask(valid))
    )


# Long rows in float32, against the recursions in float64.


def _forward_algorithm(params, logits, labels):
    """The loss, from the log of the sum over all rows and the score of one."""
    alphas = params.start + logits[0]
    for scores in logits[1:]:
        alphas = np.logaddexp.reduce(alphas[:, None] + params.transitions, axis=0) + scores
    return np.logaddexp.reduce(alphas + params.end) - _score(params, logits, labels)


def _viterbi(params, logits):
    best, origins = params.start + logits[0], []
    for scores in logits[1:]:
        rows = best[:, None] + params.transitions
        origins.append(rows.argmax(axis=0))
        best = rows.max(axis=0) + scores
    best = best + params.end
    labels = [int(best.argmax())]
    for origin in reversed(origins):
        labels.append(int(origin[labels[-1]]))
    return tuple(reversed(labels)), best.max()


@pytest.mark.parametrize("scale", [1, 20])
def test_rows_of_20_000_steps_are_exact_in_float32(scale):
    params, logits = random_like((init_crf(num_classes=K), jnp.zeros([1, 20_000, K])), 5)
    params, logits = jax.tree.map(lambda leaf: scale * leaf, (params, logits))
    exact = _float64((params, logits[0]))
    best, score = _viterbi(*exact)
    labels, scores = decode(params, logits)
    assert tuple(labels[0].tolist()) == best
    assert_close(scores[0], np.float64(score))
    for row in (best, tuple(np.roll(best, 1).tolist())):
        got = loss(params, logits, jnp.array([row])).sum
        np.testing.assert_allclose(got, _forward_algorithm(*exact, row), rtol=1e-6)


def test_a_loss_near_zero_is_exact_and_not_negative():
    labels = np.random.default_rng(4).integers(K, size=[1, 2_000])
    logits = 14 * jax.nn.one_hot(labels, K) + random_like(jnp.zeros([1, 2_000, K]), 6)
    got = loss(PARAMS, logits, labels).sum
    want = _forward_algorithm(*_float64((PARAMS, logits[0])), tuple(labels[0].tolist()))
    assert 0 < want < 0.1
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_loss_of_bfloat16_is_summed_in_float32():
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), (PARAMS, LOGITS))
    got = loss(*low, LABELS, LENGTHS)
    want = loss(*jax.tree.map(lambda leaf: leaf.astype(jnp.float32), low), LABELS, LENGTHS)
    assert got.sum.dtype == jnp.float32
    assert_close(got, want)


@pytest.mark.parametrize("shape", [(2, 0, K), (0, T, K)], ids=str)
def test_no_steps_at_all_are_no_loss(shape):
    none, labels = jnp.zeros(shape), jnp.zeros(shape[:2], int)
    assert_close(loss(PARAMS, none, labels), Total(*jnp.zeros(2)))
    got, scores = decode(PARAMS, none)
    assert got.shape == shape[:2] and not scores.any()
    assert marginals(PARAMS, none).shape == shape


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: crf_loss(p, jnp.zeros([2, 3, 4]), jnp.zeros([2, 3], int)), "has 4 classes"),
        (lambda p: crf_loss(p, jnp.zeros([2, 3, K]), jnp.zeros([2, 4], int)), "labels must be"),
        (
            lambda p: crf_decode(p, jnp.zeros([3, K])),
            r"logits must be \[B, T, K\], got shape \(3, 3\). For one sequence use logits\[None\]",
        ),
        (
            lambda p: crf_decode(p, jnp.zeros([2, 3, K]), np.array([3])),
            r"lengths must be \[B\] with B = 2 as in logits, got shape \(1,\)",
        ),
        (
            lambda p: crf_decode(
                p, jnp.zeros([2, 3, K]), Segments(jnp.array([[1, 1, 2, 2], [1, 3, 3, 0]]))
            ),
            r"Segments.ids must be \[B, T\] as in logits, \(2, 3\), got shape \(2, 4\)",
        ),
        (lambda p: crf_decode_n_best(p, jnp.zeros([2, 3, K]), n=0), "n must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(PARAMS)


def test_parameters_are_named_and_start_at_zero():
    params = init_crf(num_classes=K)
    assert isinstance(params, CRFParams)
    assert not any(leaf.any() for leaf in params)


def test_a_new_chain_can_be_donated_to_a_training_step():
    step = jax.jit(lambda params: jax.tree.map(lambda leaf: leaf + 1, params), donate_argnums=0)
    assert step(init_crf(num_classes=K)).end.tolist() == [1] * K
