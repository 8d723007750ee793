"""Masked sums and counts, against a loop over the valid steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from birnn_jax import Total, accuracy, cross_entropy
from tests.library import _oracles
from tests.library._cases import PADDING, B, T, assert_close, assert_equal, random_xs

K = 4  # classes
MASK = ~PADDING
LABELS = np.where(MASK, np.random.default_rng(0).integers(0, K, [B, T]), -1)
LOGITS = random_xs(0, B, T, K)
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
