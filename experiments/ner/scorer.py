"""Precision, recall and F1 of entities: right are those with the same words and the same class."""

import collections
from collections.abc import Sequence
from typing import NamedTuple

from experiments.ner.schemes import spans_of

Tags = Sequence[str]


class Score(NamedTuple):
    """How many entities there are, how many were found, and how many of these are right."""

    right: int
    found: int
    present: int

    @property
    def precision(self) -> float:
        """Share of the found that are right; 0 where nothing was found."""
        return self.right / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the present that are found; 0 where nothing is present."""
        return self.right / self.present if self.present else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.right / (self.found + self.present) if self.right else 0.0


def score_entities(gold: Sequence[Tags], predicted: Sequence[Tags]) -> dict[str, Score]:
    """Scores whole files, micro-averaged, as conlleval does: overall, under "", and by class.

    Args:
      gold: tags of every sentence.
      predicted: the same from a system. Its tags may break their scheme, see `spans_of`.

    Raises:
      ValueError: if the sentences are not of the same number and lengths.

    Example:
      >>> gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-LOC"]]
      >>> scores = score_entities(gold, [["B-PER", "O", "O", "B-LOC"], ["O", "I-LOC"]])
      >>> scores[""], scores["PER"].f1, scores["LOC"].f1
      (Score(right=2, found=3, present=3), 0.0, 1.0)
    """
    if [*map(len, gold)] != [*map(len, predicted)]:
        raise ValueError(
            f"The sentences do not fit: {len(gold)} with {sum(map(len, gold))} words are to be "
            f"tagged, {len(predicted)} with {sum(map(len, predicted))} words are."
        )
    counts: dict[str, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
    for right_tags, tags in zip(gold, predicted, strict=True):
        present, found = {*spans_of(right_tags)}, {*spans_of(tags)}
        for place, spans in enumerate((present & found, found, present)):
            for span in spans:
                counts[span.entity][place] += 1
                counts[_ALL][place] += 1
    return {name: Score(*counts[name]) for name in sorted({_ALL, *counts})}


_ALL = ""
