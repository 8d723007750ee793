"""Minibatches with gaps: characters that are missing where they are to be predicted."""

from typing import Any

import numpy as np

from experiments.bilm_leakage.config import SidesConfig, Task
from experiments.characters.windows import Minibatch, Whole, Windows

PERIOD = 7  # a gap stands in every so many of its lengths: 14 % of the characters are missing


class Gaps:
    """Minibatches with gaps, in place of those of `Windows`: the labels are what was there."""

    def __init__(self, windows: Windows, *, gap: int, missing: int, seed: int):
        """`missing` is the token that is read where one is missing."""
        self._windows = windows
        self._gap = gap
        self._missing = missing
        self._seed = seed

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: int) -> Minibatch:
        batch = self._windows[index]
        rng = np.random.default_rng([self._seed, 1, int(index)])
        phase = rng.integers(self._gap * PERIOD, size=len(batch["inputs"]))
        return with_gaps(batch, phase, gap=self._gap, missing=self._missing)


def with_gaps(batch: Minibatch, phase: np.ndarray, *, gap: int, missing: int) -> Minibatch:
    """A minibatch with a gap in every `PERIOD * gap` characters, shifted by `phase` `[B]`."""
    tokens = batch["inputs"]
    place = np.arange(tokens.shape[1]) + phase[:, None]
    hidden = place % (PERIOD * gap) < gap
    others = {name: batch[name] for name in ("lengths",) if name in batch}
    inputs = np.where(hidden, np.int32(missing), tokens)
    return {"inputs": inputs, "labels": tokens, "hidden": hidden, **others}


def all_gaps(batches: list[Minibatch], *, gap: int, missing: int) -> list[Minibatch]:
    """Every character missing in exactly one of `PERIOD` minibatches."""
    phases = [np.full(len(batches[0]["inputs"]), gap * number) for number in range(PERIOD)]
    return [
        with_gaps(batch, phase, gap=gap, missing=missing) for batch in batches for phase in phases
    ]


def minibatches(config: SidesConfig, tokens: Any, num_characters: int) -> list[Minibatch]:
    """Every character of a text, to be predicted once."""
    whole = Whole(tokens, steps=config.steps, batch_size=config.batch_size)[0]
    batches = [
        {name: leaf[number] for name, leaf in whole.items() if name != "fresh"}
        for number in range(len(whole["fresh"]))
    ]
    if not has_gaps(config.task):
        return batches
    return all_gaps(batches, gap=config.gap_length, missing=num_characters)


def has_gaps(task: Task) -> bool:
    """Whether characters are missing."""
    return task not in ("leaky", "elmo")
