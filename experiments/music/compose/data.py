"""The chord that a piece begins with."""

import numpy as np

from experiments.music.midi import KEYS, LOWEST, parse_note


def chord_of(text: str) -> np.ndarray:
    """A chord `[1, 88]` from the names of its notes.

    Raises:
      ValueError: for what is no note, or no notes.
    """
    if not text.split():
        raise ValueError("The chord is empty: give notes such as C4 E4 G4.")
    roll = np.zeros([1, KEYS], np.float32)
    roll[0, [parse_note(name) - LOWEST for name in text.split()]] = 1
    return roll
