"""The chain against the enumeration of all rows of labels."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Mask, Segments, Total, cross_entropy
from birnn_jax.heads import (
    CRFParams,
    constrain_crf,
    crf_decode,
    crf_decode_n_best,
    crf_loss,
    crf_marginals,
    init_crf,
    tag_constraints,
)
from tests.library._cases import assert_close, random_like

B, T, K = 4, 4, 3
LENGTHS = np.array([4, 2, 0, 1])
MASK = np.arange(T) < LENGTHS[:, None]
# Gaps, padding on the left, nothing at all, a row without a gap.
GAPS = np.array([[1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
every_visit = pytest.mark.parametrize(
    ("lengths", "mask"), [(LENGTHS, MASK), (Mask(GAPS), GAPS)], ids=["lengths", "gaps"]
)

loss = jax.jit(crf_loss)
marginals = jax.jit(crf_marginals)
decode = jax.jit(crf_decode)
n_best = jax.jit(crf_decode_n_best, static_argnames="n")


@pytest.fixture
def params():
    return random_like(init_crf(num_classes=K), 1)


@pytest.fixture
def logits():
    return random_like(jnp.zeros([B, T, K]), 2)


@pytest.fixture
def labels():
    return jnp.asarray(np.random.default_rng(3).integers(K, size=[B, T]))


def _score(params, logits, rows):
    """Of rows of labels `[M, n]`; `jnp` so that it can be differentiated."""
    length = rows.shape[1]
    if length == 0:
        return jnp.zeros(len(rows))
    score = params.start[rows[:, 0]] + params.end[rows[:, -1]]
    for t in range(length):
        score += logits[t][rows[:, t]]
    for t in range(1, length):
        score += params.transitions[rows[:, t - 1], rows[:, t]]
    return score


def _all_rows(params, logits, length):
    """Every row of labels and its score."""
    rows = list(itertools.product(range(K), repeat=int(length)))
    return rows, _score(params, logits, np.array(rows, int).reshape(len(rows), length))


def _brute_force_loss(params, logits, labels, mask):
    nats = []
    for b, valid in enumerate(mask):
        _, scores = _all_rows(params, logits[b, valid], valid.sum())
        row = np.asarray(labels)[b : b + 1, valid]
        nats.append(jax.nn.logsumexp(scores) - _score(params, logits[b, valid], row)[0])
    return sum(nats)


@every_visit
def test_loss_and_gradients_equal_those_of_enumeration(params, logits, labels, lengths, mask):
    def of_library(params, logits):
        dirty = jnp.where(mask[..., None], logits, jnp.nan)
        return crf_loss(params, dirty, jnp.where(mask, labels, -7), lengths).sum

    brute_force = functools.partial(_brute_force_loss, labels=labels, mask=mask)
    want, want_grads = jax.jit(jax.value_and_grad(brute_force, (0, 1)))(params, logits)
    got, grads = jax.jit(jax.value_and_grad(of_library, (0, 1)))(params, logits)
    assert_close((got, grads), (want, want_grads))
    assert float(loss(params, logits, labels, lengths).count) == mask.sum()


def test_without_transitions_it_is_the_cross_entropy(logits, labels):
    got = loss(init_crf(num_classes=K), logits, labels, LENGTHS)
    assert_close(got, cross_entropy(logits, labels, jnp.asarray(MASK)))


def test_padding_is_never_used(params, logits, labels):
    dirty = jnp.where(MASK[..., None], logits, jnp.nan), jnp.where(MASK, labels, -7)

    def run(logits, labels):
        return jax.value_and_grad(lambda p: crf_loss(p, logits, labels, LENGTHS).sum)(params)

    run = jax.jit(run)
    assert_close(run(*dirty), run(logits, labels))
    assert_close(marginals(params, dirty[0], LENGTHS), marginals(params, logits, LENGTHS))
    assert_close(decode(params, dirty[0], LENGTHS), decode(params, logits, LENGTHS))
    alone = loss(params, logits[1:2, :2], labels[1:2, :2])
    one = loss(params, logits[1:2], labels[1:2], LENGTHS[1:2])
    assert_close(alone, one)


@every_visit
def test_marginals_equal_those_of_enumeration(params, logits, lengths, mask):
    want = np.zeros([B, T, K])
    for b, valid in enumerate(mask):
        rows, scores = _all_rows(params, logits[b, valid], valid.sum())
        for row, probability in zip(rows, jax.nn.softmax(scores), strict=True):
            for t, label in zip(np.flatnonzero(valid), row, strict=True):
                want[b, t, label] += probability
    got = marginals(params, logits, lengths)
    assert_close(got, jnp.float32(want))
    assert not np.asarray(got)[~mask].any()


@every_visit
@pytest.mark.parametrize("n", [1, 5, 12])
def test_n_best_equals_the_sorted_enumeration(params, logits, n, lengths, mask):
    labels, scores = n_best(params, logits, lengths, n=n)
    assert labels.shape == (B, n, T) and scores.shape == (B, n)
    for b, valid in enumerate(mask):
        rows, want = _all_rows(params, logits[b, valid], valid.sum())
        order = np.argsort(-np.asarray(want))[:n]
        missing = n - len(order)
        assert_close(scores[b, : len(order)], want[order])
        for rank, place in enumerate(order):
            assert tuple(labels[b, rank, valid].tolist()) == rows[place]
        assert (labels[b][:, ~valid] == -1).all()
        assert np.isneginf(scores[b, len(order) :]).all()
        assert missing == max(n - 3 ** valid.sum(), 0)
        assert (labels[b, len(order) :] == -1).all()


def test_decode_is_the_best_of_the_n_best(params, logits):
    labels, scores = decode(params, logits, LENGTHS)
    some, some_scores = n_best(params, logits, LENGTHS, n=5)
    assert (labels == some[:, 0]).all() and labels.dtype == jnp.int32
    assert_close(scores, some_scores[:, 0])


def test_loss_of_bfloat16_is_summed_in_float32(params, logits, labels):
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), (params, logits))
    got = loss(*low, labels, LENGTHS)
    want = loss(*jax.tree.map(lambda leaf: leaf.astype(jnp.float32), low), labels, LENGTHS)
    assert got.sum.dtype == jnp.float32
    assert_close(got, want)


def test_no_steps_at_all_are_no_loss(params):
    none = jnp.zeros([2, 0, K])
    assert_close(loss(params, none, jnp.zeros([2, 0], int)), Total(*jnp.zeros(2)))
    labels, scores = decode(params, none)
    assert labels.shape == (2, 0) and not scores.any()


def test_long_rows_stay_finite_with_large_scores(params):
    logits = 1000 * random_like(jnp.zeros([1, 300, K]), 5)
    labels, scores = decode(params, logits)
    grads = jax.jit(jax.grad(lambda p: crf_loss(p, logits, labels).sum))(params)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(grads))
    assert float(loss(params, logits, labels).sum) < 1e-3 * float(scores[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: crf_loss(p, jnp.zeros([2, 3, 4]), jnp.zeros([2, 3], int)), "has 4 classes"),
        (lambda p: crf_loss(p, jnp.zeros([2, 3, K]), jnp.zeros([2, 4], int)), "labels must be"),
        (lambda p: crf_decode(p, jnp.zeros([3, K])), r"must be \[B, T, D\]"),
        (
            lambda p: crf_decode(p, jnp.zeros([2, 3, K]), Segments(jnp.arange(6).reshape(2, 3))),
            "takes lengths or a Mask, got Segments",
        ),
        (lambda p: crf_decode_n_best(p, jnp.zeros([2, 3, K]), n=0), "n must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(params, call, message):
    with pytest.raises(ValueError, match=message):
        call(params)


# Tag schemes.


TAGS = {
    "BIO": ["O", "B-x", "I-x", "B-y", "I-y"],
    "BIOES": ["O", "B-x", "I-x", "E-x", "S-x", "B-y", "I-y", "E-y", "S-y"],
    "BMES": ["B", "M", "E", "S"],
}


def _valid_by_reading(tags, scheme):
    """Consumes a row span by span, as a person would."""
    tags, inside, ends = list(tags), {"BIO": "I", "BIOES": "I", "BMES": "M"}[scheme], "E"
    while tags:
        position, _, entity = tags.pop(0).partition("-")
        if position in (inside, ends):
            return False
        if position == "B":
            while tags and tags[0].partition("-") in [(inside, dash, entity) for dash in ("-", "")]:
                tags.pop(0)
            if scheme != "BIO":
                if not tags or tags.pop(0).partition("-")[::2] != (ends, entity):
                    return False
    return True


@pytest.mark.parametrize("scheme", TAGS)
def test_constraints_allow_what_reads_as_spans_and_nothing_else(scheme):
    tags = TAGS[scheme]
    allowed = tag_constraints(tags, scheme=scheme)
    for row in itertools.product(range(len(tags)), repeat=4 if len(tags) < 9 else 3):
        by_table = (
            allowed.start[row[0]]
            and allowed.end[row[-1]]
            and all(allowed.transitions[pair] for pair in itertools.pairwise(row))
        )
        assert by_table == _valid_by_reading([tags[label] for label in row], scheme), row


def test_a_constrained_chain_decodes_and_expects_only_what_is_allowed():
    tags = TAGS["BIO"]
    params = random_like(init_crf(num_classes=5), 1)
    logits = 3 * random_like(jnp.zeros([8, 5, 5]), 2)
    params = constrain_crf(params, tag_constraints(tags, scheme="BIO"))
    rows = n_best(params, logits, n=3)[0].reshape(-1, 5)
    assert all(_valid_by_reading([tags[label] for label in row], "BIO") for row in rows.tolist())
    first = marginals(params, logits)[:, 0]
    assert not first[:, np.array([2, 4])].any()  # no row begins with I
    assert_close(first.sum(axis=-1), jnp.ones(8))


def test_constraints_have_no_gradient_and_a_broken_row_a_finite_one():
    tags = ["O", "B", "I"]
    allowed = tag_constraints(tags, scheme="BIO")
    labels = jnp.array([[0, 2, 0]])  # I after O

    def run(params):
        return crf_loss(constrain_crf(params, allowed), jnp.zeros([1, 3, 3]), labels).sum

    value, grads = jax.jit(jax.value_and_grad(run))(init_crf(num_classes=3))
    assert 9_000 < value < 11_000
    assert not grads.transitions[~allowed.transitions].any() and not grads.start[2]
    assert all(jnp.isfinite(leaf).all() for leaf in grads)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tag_constraints(["O", "E-x"], scheme="BIO"), "'E-x' is not of the scheme BIO"),
        (lambda: tag_constraints(["O-x"], scheme="BIO"), "'O-x' is not of the scheme"),
        (lambda: tag_constraints([""], scheme="BMES"), "'' is not of the scheme"),
        (lambda: tag_constraints(["O"], scheme="IOB"), "scheme must be one of 'BIO'"),
        (
            lambda: constrain_crf(init_crf(num_classes=2), tag_constraints(["O"], scheme="BIO")),
            "params are for 2 labels, but allowed is for 1",
        ),
    ],
)
def test_bad_schemes_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_parameters_are_named_and_start_at_zero():
    params = init_crf(num_classes=K)
    assert isinstance(params, CRFParams)
    assert not any(leaf.any() for leaf in params)


def test_a_new_chain_can_be_donated_to_a_training_step():
    step = jax.jit(lambda params: jax.tree.map(lambda leaf: leaf + 1, params), donate_argnums=0)
    assert step(init_crf(num_classes=K)).end.tolist() == [1] * K
