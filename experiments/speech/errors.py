"""How far what was heard is from what was said."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np


class Errors(NamedTuple):
    """Edits that make what was heard what was said."""

    substitutions: int
    deletions: int  # said, not heard
    insertions: int  # heard, not said

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self)


def count_errors(said: Sequence[Hashable], heard: Sequence[Hashable]) -> Errors:
    """The fewest edits (Levenshtein), and of which kinds.

    Example:
      >>> count_errors("kitten", "sitting")
      Errors(substitutions=2, deletions=0, insertions=1)
    """
    costs = np.zeros([len(said) + 1, len(heard) + 1], int)
    costs[:, 0], costs[0] = range(len(said) + 1), range(len(heard) + 1)
    for i, label in enumerate(said):
        for j, other in enumerate(heard):
            near = costs[i, j] + (label != other), costs[i, j + 1] + 1, costs[i + 1, j] + 1
            costs[i + 1, j + 1] = min(near)
    return _back(costs, said, heard)


def _back(costs: np.ndarray, said: Sequence[Hashable], heard: Sequence[Hashable]) -> Errors:
    """Walks one cheapest way back, and counts."""
    i, j = len(said), len(heard)
    substitutions = deletions = insertions = 0
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + (said[i - 1] != heard[j - 1]):
            i, j = i - 1, j - 1
            substitutions += said[i] != heard[j]
        elif i and costs[i, j] == costs[i - 1, j] + 1:
            i, deletions = i - 1, deletions + 1
        else:
            j, insertions = j - 1, insertions + 1
    return Errors(int(substitutions), deletions, insertions)


def label_error_rate(pairs: Sequence[tuple[Sequence[Hashable], Sequence[Hashable]]]) -> float:
    """Edits of all pairs (said, heard) over what was said.

    Raises:
      ValueError: if nothing was said.
    """
    said = sum(len(said) for said, _ in pairs)
    if not said:
        raise ValueError("There is no label in these recordings: an error rate of nothing.")
    return sum(count_errors(*pair).total for pair in pairs) / said
