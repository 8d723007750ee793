"""Metrics against the libraries of the field, and those in arrays against those of sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from birnn_jax import Mask
from birnn_jax.metrics import (
    EntityScore,
    count_edits,
    entity_f1,
    label_error_rate,
    label_errors,
    score_entities,
    score_translations,
)

TAGS = ("O", "B-X", "I-X", "E-X", "S-X", "I-Y", "B-Y", "E-Y", "B", "I")
B, T = 4, 6


def draw_tags(seed):
    """Rows of tags that break their scheme at every corner, most of them alike."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(TAGS), size=[B, T])
    predicted = np.where(rng.random([B, T]) < 0.7, labels, rng.integers(len(TAGS), size=[B, T]))
    return labels, predicted, np.array([T, *rng.integers(T + 1, size=B - 2), 0])


def rows_of(labels, lengths):
    return [[TAGS[k] for k in row[:n]] for row, n in zip(labels, lengths, strict=True)]


def test_entities_in_arrays_are_those_of_sequences():
    run = jax.jit(lambda *args: entity_f1(TAGS, *args))
    for seed in range(60):
        labels, predicted, lengths = draw_tags(seed)
        score = score_entities(rows_of(labels, lengths), rows_of(predicted, lengths))[""]
        behind = np.arange(T) >= lengths[:, None]
        total = run(np.where(behind, 3, labels), np.where(behind, 99, predicted), lengths)
        assert (total.sum, total.count) == (2 * score.correct, score.predicted + score.gold)
        assert float(total.mean) == pytest.approx(score.f1)


def test_labels_that_are_no_tags_are_outside():
    labels, predicted = jnp.array([[0, 1, -1, 0]]), jnp.array([[0, 1, 3, -100]])
    total = entity_f1(("B-X", "I-X", "O"), labels, predicted)
    assert (float(total.sum), float(total.count)) == (2, 3)


def test_entities_refuse_what_does_not_fit():
    labels = jnp.zeros([2, 3], int)
    with pytest.raises(ValueError, match=r"must be \[B, T\], got shapes \(2, 3\) and \(2, 4\)"):
        entity_f1(TAGS, labels, jnp.zeros([2, 4], int))
    with pytest.raises(TypeError, match="predicted must be integers"):
        entity_f1(TAGS, labels, jnp.zeros([2, 3]))
    with pytest.raises(ValueError, match="takes lengths"):
        entity_f1(TAGS, labels, labels, Mask(labels == 0))
    with pytest.raises(ValueError, match="gold has 1 sequences with 2 tags, predicted has 1 with"):
        score_entities([["O", "O"]], [["O"]])


def test_scores_without_entities_are_zero():
    score = score_entities([["O", "O"]], [["O", "O"]])[""]
    assert score == EntityScore(0, 0, 0) and score.precision == score.recall == score.f1 == 0


def edits_by_recursion(a, b):
    """The definition."""
    if not a or not b:
        return len(a) + len(b)
    keep = edits_by_recursion(a[1:], b[1:]) + (a[0] != b[0])
    return min(keep, edits_by_recursion(a[1:], b) + 1, edits_by_recursion(a, b[1:]) + 1)


@settings(max_examples=60, deadline=None)
@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_edits_are_the_fewest_and_make_one_sequence_of_the_other(a, b):
    edits = count_edits(a, b)
    assert edits.total == edits_by_recursion(a, b)
    assert len(a) - edits.deletions + edits.insertions == len(b)
    assert min(edits) >= 0


def test_label_errors_in_arrays_are_those_of_sequences():
    run = jax.jit(label_errors)
    rng = np.random.default_rng(0)
    for _ in range(30):
        labels, found = rng.integers(3, size=[B, 5]), rng.integers(3, size=[B, 7])
        counts, sizes = np.array([5, *rng.integers(6, size=B - 1)]), rng.integers(8, size=B)
        total = run(
            np.where(np.arange(5) < counts[:, None], labels, -1),
            counts,
            np.where(np.arange(7) < sizes[:, None], found, -1),  # as a decoder pads them
            sizes,
        )
        rows = [row[:n].tolist() for row, n in zip(labels, counts, strict=True)]
        others = [row[:n].tolist() for row, n in zip(found, sizes, strict=True)]
        assert float(total.count) == counts.sum()
        assert float(total.mean) == pytest.approx(label_error_rate(rows, others))


def test_label_errors_say_what_does_not_fit():
    labels = jnp.zeros([2, 3], int)
    with pytest.raises(ValueError, match=r"and predicted \[B, M\], got shapes \(2, 3\) and \(3, 3"):
        label_errors(labels, None, jnp.zeros([3, 3], int), None)
    with pytest.raises(TypeError, match="labels must be integers"):
        label_errors(labels * 1.0, None, labels, None)
    with pytest.raises(ValueError, match="have no label"):
        label_error_rate([""], ["a"])
    with pytest.raises(ValueError, match="There are 2 references and 1 hypotheses"):
        label_error_rate(["a", "b"], ["a"])


def test_translations_are_scored_as_by_sacrebleu():
    sacrebleu = pytest.importorskip("sacrebleu")
    found = ["the cat is on the mat", "there is rain today again"]
    right = ["the cat sat on the mat", "it rains again today"]
    scores = score_translations(found, right, tokenize="char")
    assert scores.bleu == sacrebleu.corpus_bleu(found, [right], tokenize="char").score
    assert scores.chrf == sacrebleu.corpus_chrf(found, [right]).score
    assert "tok:char" in scores.signature
    with pytest.raises(ValueError, match="2 translations and 1 references"):
        score_translations(found, right[:1])
    with pytest.raises(ValueError, match="There are no sentences to measure"):
        score_translations([], [])
