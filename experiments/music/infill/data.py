"""Four voices of a piano roll, and what of them is hidden.

A roll does not say who sings what: the voices of a chord of four notes are those from the highest
to the lowest. Of three notes the middle one is sung by alto and tenor, of two each by two voices;
of more than four, those in the middle are left out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.music.midi import KEYS

PLACES = 4  # a bar in four is hidden


def examples_of(rolls: Sequence[np.ndarray], hidden: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Pieces as `score` reads them, with what is hidden of each, `[T, 4]`."""
    return [
        {
            "voices": to_voices(roll),
            "hidden": mask,
            "certain": np.repeat(is_certain(roll)[:, None], len(VOICES), axis=1),
        }
        for roll, mask in zip(rolls, hidden, strict=True)
    ]


def ways_to_hide(rolls: Sequence[np.ndarray], bar: int) -> dict[str, list[dict[str, Any]]]:
    """Every piece with each voice hidden in turn, and with each bar in four."""
    ways = {
        name: examples_of(rolls, [hidden_voice(len(roll), voice) for roll in rolls])
        for voice, name in enumerate(VOICES)
    }
    places = [(roll, hidden_bars(len(roll), bar, i)) for i in range(PLACES) for roll in rolls]
    there = [(roll, mask) for roll, mask in places if mask.any()]  # a short piece has few bars
    ways["bars"] = examples_of([roll for roll, _ in there], [mask for _, mask in there])
    return ways


VOICES = ("soprano", "alto", "tenor", "bass")
SILENT = -1
_SUNG = {1: (0, 0, 0, 0), 2: (0, 0, 1, 1), 3: (0, 1, 1, 2)}


def to_voices(roll: np.ndarray) -> np.ndarray:
    """The key that each voice sings, `[T, 4]` int32; -1 in a frame of silence.

    Example:
      >>> roll = np.zeros([2, 88])
      >>> roll[0, [10, 20, 30]] = 1
      >>> to_voices(roll).tolist()
      [[30, 20, 20, 10], [-1, -1, -1, -1]]
    """
    voices = np.full([len(roll), len(VOICES)], SILENT, np.int32)
    for frame, keys in enumerate(roll):
        notes = np.flatnonzero(keys)[::-1]
        if len(notes):
            voices[frame] = notes[list(_SUNG.get(len(notes), (0, 1, -2, -1)))]
    return voices


def to_roll(voices: np.ndarray) -> np.ndarray:
    """The roll `[T, 88]` of voices `[T, 4]`."""
    roll = np.zeros([len(voices), KEYS], np.float32)
    frames, singing = np.nonzero(voices != SILENT)
    roll[frames, voices[frames, singing]] = 1
    return roll


def is_certain(roll: np.ndarray) -> np.ndarray:
    """The frames, `[T]` bool, in which four notes sound, so that each voice has its own."""
    return roll.sum(axis=1) == len(VOICES)


def hidden_voice(frames: int, voice: int) -> np.ndarray:
    """One voice, from the first frame to the last: `[T, 4]` bool."""
    hidden = np.zeros([frames, len(VOICES)], bool)
    hidden[:, voice] = True
    return hidden


def hidden_bars(frames: int, bar: int, place: int) -> np.ndarray:
    """All voices in one bar out of four, `bar` frames long, from bar `place` on: `[T, 4]` bool."""
    inside = (np.arange(frames) // bar) % 4 == place
    return np.repeat(inside[:, None], len(VOICES), axis=1)


def hidden_span(frames: int, first: int, count: int) -> np.ndarray:
    """All voices in `count` frames: `[T, 4]` bool."""
    steps = np.arange(frames)
    inside = (steps >= first) & (steps < first + count)
    return np.repeat(inside[:, None], len(VOICES), axis=1)
