"""Masked sums and counts, against a loop over the valid steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Mask, Segments, Total, accuracy, cross_entropy, valid_steps
from tests.library import _oracles
from tests.library._cases import LENGTHS, PADDING, B, T, assert_close, assert_equal, random_xs

K = 4  # classes
MASK = ~PADDING
LABELS = np.where(MASK, np.random.default_rng(0).integers(0, K, [B, T]), -1)
LOGITS = random_xs(0, B, T, K)
WEIGHTS = np.abs(np.random.default_rng(1).normal(size=[B, T])).astype(np.float32) * 0.1
LOSSES = pytest.mark.parametrize(
    "total", [jax.jit(cross_entropy), jax.jit(accuracy)], ids=["cross_entropy", "accuracy"]
)


def test_cross_entropy_matches_loop_on_ragged_batch(jit_or_eager):
    got = jit_or_eager(cross_entropy)(LOGITS, LABELS, MASK)
    assert_close(got, Total(*_oracles.cross_entropy(LOGITS, LABELS, MASK)))


def test_cross_entropy_of_large_logits_is_finite():
    got = cross_entropy(1e4 * LOGITS, LABELS, MASK)
    assert np.isfinite(got.sum) and got.sum > 0


def test_accuracy_counts_valid_steps_only(jit_or_eager):
    right = jnp.argmax(LOGITS, axis=-1)
    labels = right.at[0, 1].add(1).at[1, 0].add(-1) % K  # two mistakes, none in padding
    got = jit_or_eager(accuracy)(LOGITS, labels, MASK)
    assert (int(got.sum), int(got.count)) == (MASK.sum() - 2, MASK.sum())


@LOSSES
def test_labels_of_rows_are_as_good_as_labels_of_steps(total):
    rows = total(LOGITS[:, 0], np.abs(LABELS[:, 0]), MASK[:, 0])
    assert_close(rows, total(LOGITS[:, :1], np.abs(LABELS[:, :1]), MASK[:, :1]))


@LOSSES
@pytest.mark.parametrize("content", [np.nan, np.inf, 1e6])
def test_padding_content_is_irrelevant(total, content):
    def run(logits, labels):
        values, pull = jax.vjp(lambda logits: total(logits, labels, MASK), logits)
        return values, pull(Total(jnp.float32(1), jnp.float32(1)))

    polluted = jnp.where(MASK[..., None], LOGITS, content)
    got = run(polluted, np.where(MASK, LABELS, 10**6))
    assert_equal(got, run(LOGITS, LABELS))


@LOSSES
def test_no_label_of_padding_makes_a_nan_on_the_way(total):
    labels = np.where(MASK, LABELS, 10**6)
    with jax.debug_nans(True), jax.disable_jit():
        got = total(LOGITS, labels, MASK)
    assert_close(got, total(LOGITS, LABELS, MASK))


@LOSSES
def test_totals_of_parts_add_up_to_the_total_of_the_whole(total):
    first, rest = (
        total(LOGITS[rows], LABELS[rows], MASK[rows]) for rows in (slice(1), slice(1, B))
    )
    whole = total(LOGITS, LABELS, MASK)
    assert_close(jax.tree.map(jnp.add, first, rest), whole)
    assert_close(whole.mean, np.float64(whole.sum / whole.count))


@LOSSES
def test_totals_of_bfloat16_logits_are_summed_in_float32(total):
    logits, labels = random_xs(0, 1001, K, dtype="bfloat16"), jnp.zeros(1001, int)
    got = total(logits, labels, labels == 0)
    assert_equal(got, total(logits.astype("float32"), labels, labels == 0))


@LOSSES
def test_total_of_nothing_is_zero_with_a_gradient_of_zero(total):
    def mean(logits):
        return total(logits, LABELS, np.zeros_like(MASK)).mean

    value, grads = jax.value_and_grad(mean)(LOGITS)
    assert value == 0 and not grads.any()


# Which steps count.


@LOSSES
@pytest.mark.parametrize(
    ("mask", "valid"),
    [
        (LENGTHS, MASK),
        (LENGTHS.astype(np.uint8), MASK),
        (Mask(MASK), MASK),
        (Mask(LABELS % 2 == 0), LABELS % 2 == 0),
        (Segments(np.where(MASK, 3, 0)), MASK),
        (None, np.ones([B, T], bool)),
        (MASK.astype(np.float32), MASK),
    ],
    ids=["lengths", "uint8", "Mask", "gaps", "Segments", "None", "floats"],
)
def test_steps_that_count_are_given_as_everywhere(total, mask, valid):
    labels = np.abs(LABELS)
    assert_equal(total(LOGITS, labels, mask), total(LOGITS, labels, valid))
    if mask is not None and np.asarray(mask).dtype != np.float32:
        assert (valid_steps(labels, mask) == valid).all()


def _weighted(logits, weights):
    """Sum and count of the cross entropy, step by step in float64."""
    steps = [(b, t) for b in range(B) for t in range(T) if weights[b, t]]
    rows = [np.asarray(logits[b, t], np.float64) for b, t in steps]
    nats = [
        np.log(np.exp(row).sum()) - row[LABELS[at]] for at, row in zip(steps, rows, strict=True)
    ]
    counts = [np.float64(weights[at]) for at in steps]
    return np.dot(nats, counts), sum(counts)


def test_weights_weigh_and_their_sum_is_what_counts():
    weights = np.where(MASK, WEIGHTS, 0)
    assert weights.sum() < 1  # a mean divides by that too
    polluted = jnp.where(MASK[..., None], LOGITS, jnp.nan)
    got = jax.jit(cross_entropy)(polluted, LABELS, weights)
    want = _weighted(LOGITS, weights)
    assert_close((got.sum, got.count), tuple(map(np.float64, want)))
    assert_close(got.mean, np.float64(want[0] / want[1]))
    grads = jax.grad(lambda x: cross_entropy(x, LABELS, weights).mean)(polluted)
    softmax = jax.nn.softmax(LOGITS) - jax.nn.one_hot(LABELS, K)
    assert_close(grads, weights[..., None] * softmax / want[1])
    right = accuracy(LOGITS, LABELS, weights)
    hits = (np.asarray(LOGITS).argmax(-1) == LABELS) & MASK
    assert_close((right.sum, right.count), (np.float64(weights[hits].sum()), np.float64(want[1])))


@pytest.mark.parametrize("label", [-1, -100, K, 10**6])
def test_a_label_that_is_no_class_makes_a_nan_that_cannot_be_overlooked(label):
    labels = np.where(MASK, LABELS, 0)
    labels[1, 0] = label

    def mean(logits, mask):
        return cross_entropy(logits, labels, mask).mean

    value, grads = jax.jit(jax.value_and_grad(mean))(LOGITS, MASK)
    assert np.isnan(value) and np.isnan(grads[1, 0]).all()
    right = accuracy(LOGITS, labels, MASK)
    assert right.count == MASK.sum() and right.sum <= MASK.sum() - 1
    left_out = np.where(labels == label, False, MASK)
    value, grads = jax.value_and_grad(mean)(LOGITS, left_out)
    oracle = Total(*_oracles.cross_entropy(LOGITS, labels, left_out))
    assert_close(value, np.float64(oracle.sum / oracle.count))
    assert np.isfinite(grads).all()
