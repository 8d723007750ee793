"""Utterances, strings joined of them, and how they are padded.

A minibatch is {"signals": [B, N] or [B, T, 13], "lengths": [B], "labels": [B, L],
"label_lengths": [B]}, and what `runner.data.minibatches` adds.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.runner.data.minibatches import Minibatch, Minibatches, padded_length
from experiments.speech.config import SpeechConfig
from experiments.speech.features import num_frames
from experiments.speech.sounds import Recording

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
        speakers = np.array([utterance.speaker for utterance in utterances])
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
    longest = padded_length(max(len(utterance.signal) for utterance in utterances), unit)
    most = max(len(utterance.labels) for utterance in utterances)
    batch = {
        "signals": np.zeros([size, longest, *utterances[0].signal.shape[1:]], np.float32),
        "lengths": np.zeros([size], np.int32),
        "labels": np.zeros([size, padded_length(most, _FEWEST_LABELS)], np.int32),
        "label_lengths": np.zeros([size], np.int32),
    }
    for i, utterance in enumerate(utterances):
        batch["signals"][i, : len(utterance.signal)] = utterance.signal
        batch["lengths"][i] = len(utterance.signal)
        batch["labels"][i, : len(utterance.labels)] = utterance.labels
        batch["label_lengths"][i] = len(utterance.labels)
    return batch


_UNIT_SECONDS = 0.5  # the shortest padding
_HELD_OUT_SEED = 7  # of the strings of dev and test, the same in every run


def joined(config: SpeechConfig, recordings: Sequence[Recording]) -> tuple[int, int]:
    """How many recordings make a string, fewest and most."""
    if config.task == "label":
        return 1, 1
    single = all(len(item.words) == 1 for item in recordings)
    return tuple(config.join or ((3, 7) if single else (1, 1)))  # pyright: ignore


def make_batches(
    config: SpeechConfig,
    recordings: Sequence[Recording],
    labels: Sequence[str],
    *,
    epochs: int = 1,
    seed: int | None = None,
) -> Minibatches:
    """Minibatches of recordings or of strings of them; without a seed, those to evaluate on."""
    draw = make_draw(config, recordings, labels, seed)
    frames = recordings[0].signal.ndim == 2
    unit = round(_UNIT_SECONDS * (100 if frames else config.rate))
    return Minibatches(
        draw,
        length=lambda utterance: len(utterance.signal),
        pad=functools.partial(pad, unit=unit),
        batch_size=config.batch_size,
        epochs=epochs,
        seed=seed,
    )


def make_draw(
    config: SpeechConfig, recordings: Sequence[Recording], labels: Sequence[str], seed: int | None
) -> Callable[[int], list[Utterance]]:
    """The function from a pass to its utterances. A word that is no label is label -1."""
    place = {word: i for i, word in enumerate(labels)}
    utterances = [
        Utterance(item.signal, tuple(place.get(word, -1) for word in item.words), item.speaker)
        for item in recordings
    ]
    shortest, longest = joined(config, recordings)
    if longest == 1:
        require_room(config, recordings)
        return lambda epoch: utterances
    return Strings(
        utterances,
        shortest=shortest,
        longest=longest,
        number=config.strings if seed is not None else -(-config.strings // 2),
        seed=_HELD_OUT_SEED if seed is None else seed,
    )


def require_room(config: SpeechConfig, recordings: Sequence[Recording]) -> None:
    """Refuses a recording that has more labels than the network has steps for them."""
    if config.task == "label":
        return
    for item in recordings:
        steps = len(item.signal)
        if item.signal.ndim == 1:
            steps = int(num_frames(config.model.features, steps))
        for every in config.subsample:
            steps = -(-steps // every)
        needed = len(item.words) + sum(
            a == b for a, b in zip(item.words, item.words[1:], strict=False)
        )
        if needed > steps:
            raise ValueError(
                f"{item.name} has {len(item.words)} labels but only {steps} steps for them: give "
                "smaller numbers to --subsample, or leave the recording out."
            )
