"""Precision, recall and F1 of entities: right are those with the same steps and the same label."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

from .._core.spans import spans_of_tags

_ALL = ""


class EntityScore(NamedTuple):
    """How many entities there are, how many were predicted, and how many of these are correct.

    Example:
      >>> from birnn_jax.metrics import EntityScore
      >>> score = EntityScore(correct=2, predicted=4, gold=5)
      >>> score.precision, score.recall, round(score.f1, 3)
      (0.5, 0.4, 0.444)
    """

    correct: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        """Share of the predicted that are correct; 0 where nothing was predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Share of the gold that are found; 0 where there are none."""
        return self.correct / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.correct / (self.predicted + self.gold) if self.correct else 0.0


def score_entities(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]
) -> dict[str, EntityScore]:
    """Scores tags of whole data sets as conlleval and seqeval do, micro-averaged.

    Args:
      gold: the tags of every sequence, such as B-PER, I-PER, O; of any scheme.
      predicted: the same from a model. Tags that break their scheme are read as conlleval reads
        them: an I-x that continues nothing begins an entity.

    Returns:
      The score of all entities under "", and that of each label under its name.

    Raises:
      ValueError: if the sequences are not of the same number and lengths.

    Example:
      >>> from birnn_jax.metrics import score_entities
      >>> gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC"]]
      >>> scores = score_entities(gold, [["B-PER", "O", "O", "B-LOC"], ["O", "I-LOC"]])
      >>> scores[""], scores["PER"].f1, scores["LOC"].f1
      (EntityScore(correct=2, predicted=3, gold=3), 0.0, 1.0)

    References:
      Tjong Kim Sang and Buchholz, Introduction to the CoNLL-2000 Shared Task, 2000 (conlleval).
    """
    if [*map(len, gold)] != [*map(len, predicted)]:
        raise ValueError(
            f"gold has {len(gold)} sequences with {sum(map(len, gold))} tags, predicted has "
            f"{len(predicted)} with {sum(map(len, predicted))}: give a tag for each step of each "
            "sequence, in the same order."
        )
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
    for gold_tags, tags in zip(gold, predicted, strict=True):
        present, found = {*spans_of_tags(gold_tags)}, {*spans_of_tags(tags)}
        for place, spans in enumerate((present & found, found, present)):
            counts[_ALL][place] += len(spans)
            for span in spans:
                if span.label != _ALL:  # an entity without a label counts among all
                    counts[span.label][place] += 1
    return {name: EntityScore(*counts[name]) for name in sorted({_ALL, *counts})}
