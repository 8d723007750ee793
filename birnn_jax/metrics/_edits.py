"""How far what was recognised is from what was said: the edits between two sequences."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np


class Edits(NamedTuple):
    """Edits that make a hypothesis of a reference.

    Example:
      >>> from birnn_jax.metrics import Edits
      >>> Edits(substitutions=2, deletions=0, insertions=1).total
      3
    """

    substitutions: int
    deletions: int  # in the reference, not in the hypothesis
    insertions: int  # in the hypothesis, not in the reference

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


def count_edits(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> Edits:
    """Counts the fewest edits between two sequences (Levenshtein), and of which kinds they are.

    Args:
      reference: what is right: words, characters, labels.
      hypothesis: what a model found.

    Example:
      >>> from birnn_jax.metrics import count_edits
      >>> count_edits("kitten", "sitting")
      Edits(substitutions=2, deletions=0, insertions=1)

    References:
      Levenshtein, Binary Codes Capable of Correcting Deletions, Insertions, and Reversals, 1966.
    """
    numbers: dict[Hashable, int] = {}
    ids = [numbers.setdefault(label, len(numbers)) for label in [*reference, *hypothesis]]
    wanted, found = np.array(ids[: len(reference)], int), np.array(ids[len(reference) :], int)
    steps = np.arange(len(found) + 1)
    costs = np.zeros([len(wanted) + 1, len(found) + 1], int)
    costs[0] = steps
    for i, label in enumerate(wanted):
        row = costs[i] + 1  # the label is deleted
        row[1:] = np.minimum(row[1:], costs[i, :-1] + (found != label))
        # And labels are inserted: a cost of one more for each step to the right.
        costs[i + 1] = np.minimum.accumulate(row - steps) + steps
    return _walk_back(costs, wanted, found)


def _walk_back(costs: np.ndarray, wanted: np.ndarray, found: np.ndarray) -> Edits:
    """Goes back on one cheapest way, and counts."""
    i, j = len(wanted), len(found)
    substitutions = deletions = insertions = 0
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (wanted[i - 1] != found[j - 1]):
            i, j = i - 1, j - 1
            substitutions += int(wanted[i] != found[j])
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i, deletions = i - 1, deletions + 1
        else:
            j, insertions = j - 1, insertions + 1
    return Edits(substitutions, deletions, insertions)


def label_error_rate(
    references: Sequence[Sequence[Hashable]], hypotheses: Sequence[Sequence[Hashable]]
) -> float:
    """The edits of all pairs over the labels of all references.

    Of words it is the word error rate, of characters the character error rate.

    Args:
      references: what is right, one sequence for each row.
      hypotheses: what a model found, in the same order.

    Raises:
      ValueError: if there are not as many of both, or the references have no label.

    Example:
      >>> from birnn_jax.metrics import label_error_rate
      >>> label_error_rate(["one two".split(), ["three"]], [["one"], ["tree"]])
      0.6666666666666666
    """
    if len(references) != len(hypotheses):
        raise ValueError(
            f"There are {len(references)} references and {len(hypotheses)} hypotheses: give one "
            "hypothesis for each reference."
        )
    labels = sum(map(len, references))
    if not labels:
        raise ValueError("The references have no label, so that there is no error rate.")
    pairs = zip(references, hypotheses, strict=True)
    return sum(count_edits(*pair).total for pair in pairs) / labels
