"""All paths of connectionist temporal classification, one by one, in float64."""

import itertools

import jax
import numpy as np

from birnn_jax import Mask
from tests.library._cases import random_like

B, T, K = 4, 4, 3
LENGTHS = np.array([4, 2, 0, 3])
MASK = np.arange(T) < LENGTHS[:, None]
# A gap, padding on the left, nothing at all, no gap.
GAPS = np.array([[1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
LOGITS = 2 * random_like(np.zeros([B, T, K]), 2)
# What may be given, and the blank; each is compiled once.
CASES = {"lengths": (LENGTHS, MASK, 0), "gaps": (Mask(GAPS), GAPS, 2)}


def collapse(path, blank):
    """The labels of a path."""
    merged = [label for label, _ in itertools.groupby(path)]
    return tuple(label for label in merged if label != blank)


def log_softmax(logits):
    """Over the last axis; minus infinity throughout where every logit is."""
    logits = np.asarray(logits, np.float64)
    highest = np.maximum(logits.max(axis=-1, keepdims=True), -1e300)
    total = np.exp(logits - highest).sum(axis=-1, keepdims=True)
    return logits - highest - np.log(np.maximum(total, 1e-300))


def all_paths(logits, blank):
    """`{labels: {path: log-probability}}` of `[n, K]` logits."""
    log_probs, found = log_softmax(logits), {}
    for path in itertools.product(range(K), repeat=len(logits)):
        score = sum(log_probs[t, label] for t, label in enumerate(path))
        found.setdefault(collapse(path, blank), {})[path] = score
    return found


def log_probs_of_labels(logits, blank):
    """`{labels: log-probability}` of `[n, K]` logits."""
    found = all_paths(logits, blank)
    return {row: np.logaddexp.reduce(list(paths.values())) for row, paths in found.items()}


def dirty(logits, mask):
    """NaN in padding."""
    return jax.numpy.where(mask[..., None], logits, np.nan)


def rows_of(labels, lengths):
    """Rows of labels as tuples; checks what stands behind them, too."""
    behind = np.arange(labels.shape[-1]) >= np.asarray(lengths)[:, None]
    assert (np.asarray(labels)[behind] == -1).all()
    return [tuple(row[:n]) for row, n in zip(labels.tolist(), lengths.tolist(), strict=True)]
