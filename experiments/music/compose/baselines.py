"""What predicts frames by counting how often each key sounds, and how often it goes on."""

from collections.abc import Sequence

import numpy as np


def independent_keys(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """Nats a frame when each key has its own frequency, counted with one of each kind added."""
    frames = np.concatenate(train)
    shares = (frames.sum(axis=0) + 1) / (len(frames) + 2)
    return _nats(shares, np.concatenate([roll[1:] for roll in test]))


def markov_keys(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """Nats a frame when each key has a frequency after it sounded, and one after it did not."""
    before, after = (_joined(train, part) for part in (slice(None, -1), slice(1, None)))
    counted = np.stack([1 - before, before])  # [2, N, 88]
    shares = ((counted * after).sum(axis=1) + 1) / (counted.sum(axis=1) + 2)
    test_before, test_after = (_joined(test, part) for part in (slice(None, -1), slice(1, None)))
    return _nats(np.where(test_before > 0, shares[1], shares[0]), test_after)


def _joined(rolls: Sequence[np.ndarray], part: slice) -> np.ndarray:
    return np.concatenate([roll[part] for roll in rolls]).astype(np.float64)


def _nats(shares: np.ndarray, frames: np.ndarray) -> float:
    return float(-np.log(np.where(frames > 0, shares, 1 - shares)).sum(axis=1).mean())
