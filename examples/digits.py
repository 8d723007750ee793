"""Strings of spoken digits, joined from the recordings of the Free Spoken Digit Dataset.

`recognise_speech.py` and its counterparts read them from here, so that all hear the same.
"""

from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "experiments" / "data" / "fsdd_mfcc13_int8.npz"


def read_digits(path: Path = DATA) -> dict[str, list[tuple[np.ndarray, list[int]]]]:
    """Pairs of frames `[T, 39]` and the digits in them, of the parts train, dev and test.

    A string is 3 to 7 recordings of one speaker. Recordings 0 to 4 of a speaker and a digit are
    the official test, 45 to 49 are kept for dev. Frames are 13 MFCC and their first and second
    differences, each with mean 0 and variance 1 over the string.
    """
    file = dict(np.load(path))
    frames = (file["q"].astype(np.float32) + 127) * file["scale"] + file["lo"]
    part = np.select([file["index"] < 5, file["index"] >= 45], ["test", "dev"], "train")
    rng = np.random.default_rng(0)

    def draw(name):
        speaker = rng.integers(file["speaker"].max() + 1)
        choices = np.flatnonzero((part == name) & (file["speaker"] == speaker))
        rows = rng.choice(choices, rng.integers(3, 8), replace=False)
        pieces = [frames[file["offset"][row] : file["offset"][row + 1]] for row in rows]
        return _features(np.concatenate(pieces)), file["label"][rows].tolist()

    return {name: [draw(name) for _ in range(n)] for name, n in SIZES.items()}


SIZES = {"train": 1000, "dev": 250, "test": 500}


def _features(frames: np.ndarray) -> np.ndarray:
    first = np.gradient(frames, axis=0)
    frames = np.concatenate([frames, first, np.gradient(first, axis=0)], axis=1)
    return (frames - frames.mean(axis=0)) / frames.std(axis=0)
