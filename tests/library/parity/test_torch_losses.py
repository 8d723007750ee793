"""Losses of PyTorch and optax: the same values and gradients as here."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from birnn_jax import cross_entropy
from birnn_jax.heads import ctc_log_likelihood, ctc_loss

B, T, K, N = 5, 23, 7, 6
LENGTHS = np.array([23, 9, 14, 6, 20])
LABEL_LENGTHS = np.array([6, 2, 0, 5, 4])
CLOSE = {"rtol": 2e-5, "atol": 2e-6}


def random_ctc(seed, blank):
    rng = np.random.default_rng(seed)
    classes = np.array([label for label in range(K) if label != blank])
    labels = rng.choice(classes, size=[B, N])
    labels[3, :5] = classes[2]  # five equal ones need nine steps; there are six
    return rng.normal(size=[B, T, K]).astype(np.float32) * 3, labels


@pytest.mark.parametrize("blank", [0, 4])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc_equals_that_of_torch(blank, zero_infinity):
    logits, labels = random_ctc(blank, blank)
    scores = torch.tensor(logits, requires_grad=True)
    lengths, label_lengths = torch.tensor(LENGTHS), torch.tensor(LABEL_LENGTHS)
    want = torch.nn.functional.ctc_loss(
        scores.log_softmax(-1).transpose(0, 1),
        torch.tensor(labels),
        lengths,
        label_lengths,
        blank=blank,
        reduction="none",
        zero_infinity=zero_infinity,
    )
    fits = np.isfinite(-ctc_log_likelihood(logits, LENGTHS, labels, LABEL_LENGTHS, blank=blank))
    assert fits.tolist() == [True, True, True, False, True]
    want[torch.tensor(fits)].sum().backward()

    def run(logits):
        total = ctc_loss(
            logits, LENGTHS, labels, LABEL_LENGTHS, blank=blank, zero_infinity=zero_infinity
        )
        return total.sum, total.count

    (got, count), grads = jax.value_and_grad(run, has_aux=True)(jnp.asarray(logits))
    np.testing.assert_allclose(got, want.sum().item(), **CLOSE)
    np.testing.assert_allclose(grads[fits], scores.grad.numpy()[fits], **CLOSE)
    assert not grads[~fits].any()  # NaN in PyTorch, unless it zeroes infinity
    assert count == (4 if zero_infinity else 5)
    rows = -ctc_log_likelihood(logits, LENGTHS, labels, LABEL_LENGTHS, blank=blank)
    np.testing.assert_allclose(rows[fits], want.detach().numpy()[fits], **CLOSE)


def test_ctc_equals_that_of_optax_where_labels_fit():
    logits, labels = random_ctc(1, 0)
    label_lengths = np.where(LABEL_LENGTHS == 5, 1, LABEL_LENGTHS)
    padding = (np.arange(T) >= LENGTHS[:, None]).astype(np.float32)
    label_padding = (np.arange(N) >= label_lengths[:, None]).astype(np.float32)

    def of_optax(logits):
        return optax.ctc_loss(logits, padding, labels, label_padding).sum()

    def run(logits):
        return ctc_loss(logits, LENGTHS, labels, label_lengths).sum

    want, want_grads = jax.value_and_grad(of_optax)(jnp.asarray(logits))
    got, grads = jax.value_and_grad(run)(jnp.asarray(logits))
    np.testing.assert_allclose(got, want, **CLOSE)
    np.testing.assert_allclose(grads, want_grads, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_equals_that_of_torch_with_an_ignore_index(weighted):
    rng = np.random.default_rng(2)
    logits = rng.normal(size=[B, T, K]).astype(np.float32)
    labels = np.where(rng.random([B, T]) < 0.4, -100, rng.integers(K, size=[B, T]))
    by_class = rng.random(K).astype(np.float32) if weighted else np.ones(K, np.float32)
    scores = torch.tensor(logits, requires_grad=True)
    want = torch.nn.functional.cross_entropy(
        scores.reshape(-1, K), torch.tensor(labels).reshape(-1), weight=torch.tensor(by_class)
    )
    want.backward()
    valid = labels != -100
    mask = by_class[labels.clip(0)] * valid if weighted else valid
    got, grads = jax.value_and_grad(lambda x: cross_entropy(x, labels, mask).mean)(
        jnp.asarray(logits)
    )
    np.testing.assert_allclose(got, want.item(), **CLOSE)
    np.testing.assert_allclose(grads, scores.grad.numpy(), **CLOSE)
