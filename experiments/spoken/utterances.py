"""Utterances, strings joined of them, and how they are padded.

A minibatch is {"signals": [B, N] or [B, T, 13], "lengths": [B], "labels": [B, L],
"label_lengths": [B]}, and what `runner.minibatches` adds.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.minibatches import Minibatch, padded_length

_FEWEST_LABELS = 8


class Utterance(NamedTuple):
    """A sound and its labels."""

    signal: np.ndarray  # [N] or [T, 13]
    labels: tuple[int, ...]
    speaker: str
    ends: tuple[int, ...] = ()  # where each recording that was joined ends


class Strings:
    """Utterances joined from `shortest` to `longest` of one speaker, `number` new ones a pass.

    Those of a pass are a function of (seed, pass). No utterance comes twice in a string while its
    speaker has others.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        *,
        shortest: int,
        longest: int,
        number: int,
        seed: int,
    ):
        """Takes the utterances to join."""
        self._utterances = utterances
        self._range = (shortest, longest + 1)
        self._number = number
        self._seed = seed
        speakers = np.array([one.speaker for one in utterances])
        self._of = [np.flatnonzero(speakers == name) for name in np.unique(speakers)]
        self._shares = np.array([len(rows) for rows in self._of]) / len(utterances)

    def __call__(self, epoch: int) -> list[Utterance]:
        """The strings of a pass."""
        rng = np.random.default_rng([self._seed, epoch])
        return [self._draw(rng) for _ in range(self._number)]

    def _draw(self, rng: np.random.Generator) -> Utterance:
        rows = self._of[rng.choice(len(self._of), p=self._shares)]
        size = int(rng.integers(*self._range))
        chosen = rng.choice(rows, size, replace=size > len(rows))
        parts = [self._utterances[row] for row in chosen]
        return Utterance(
            signal=np.concatenate([part.signal for part in parts]),
            labels=tuple(label for part in parts for label in part.labels),
            speaker=parts[0].speaker,
            ends=tuple(itertools.accumulate(len(part.signal) for part in parts)),
        )


def pad(utterances: Sequence[Utterance], size: int, unit: int) -> Minibatch:
    """Stacks utterances to `size` rows; `unit` is the shortest padded length."""
    longest = padded_length(max(len(one.signal) for one in utterances), unit)
    most = max(len(one.labels) for one in utterances)
    batch = {
        "signals": np.zeros([size, longest, *utterances[0].signal.shape[1:]], np.float32),
        "lengths": np.zeros([size], np.int32),
        "labels": np.zeros([size, padded_length(most, _FEWEST_LABELS)], np.int32),
        "label_lengths": np.zeros([size], np.int32),
    }
    for i, one in enumerate(utterances):
        batch["signals"][i, : len(one.signal)] = one.signal
        batch["lengths"][i] = len(one.signal)
        batch["labels"][i, : len(one.labels)] = one.labels
        batch["label_lengths"][i] = len(one.labels)
    return batch
