"""Features of a sound that arrives in pieces of any length.

    samples -> log mel of whole frames -> cepstra, differences -> scale
               25 ms of sound            2 frames ahead for each

Each frame is known as soon as the sound that it needs is there. The features are those of the whole
recording but for the scale: the mean and the deviation of a recording are known at its end only, so
a stream uses those of the frames so far.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from experiments.speech.features import (
    DELTA_REACH,
    SMALLEST_VARIANCE,
    Features,
    cepstra,
    log_mel,
    num_frames,
)

_FRAMES = 16  # that are computed at once


class FeatureStream:
    """The features of a sound that arrives in pieces of any length."""

    def __init__(self, features: Features):
        """Nothing has arrived yet."""
        self._features = features
        self._samples = np.zeros(features.shift, np.float32)  # a frame before the first, dropped
        self._arrived = 0
        self._made = 0  # frames of log mel
        self._none = np.zeros([0, features.size // (1 + features.deltas)], np.float32)
        self._deltas = [_Delta(self._none) for _ in range(features.deltas)]
        self._waiting = [self._none] * (1 + features.deltas)
        self._scale = _RunningScale() if features.normalise else None

    def push(self, samples: np.ndarray, *, is_last: bool = False) -> np.ndarray:
        """Takes samples `[N]` on the scale of 16 bits; gives the frames known now, `[T, F]`.

        Args:
          samples: what has arrived, of any number; or cepstra `[N, 13]` in place of samples.
          is_last: whether nothing comes after it.
        """
        if samples.ndim == 2:
            return self._finish(samples.astype(np.float32), is_last)
        self._arrived += len(samples)
        self._samples = np.concatenate([self._samples, samples.astype(np.float32)])
        static = np.concatenate([self._none, *self._static(is_last)])
        return self._finish(static, is_last)

    def _static(self, is_last: bool) -> Iterator[np.ndarray]:
        """What is computed of each frame alone."""
        features = self._features
        size = _FRAMES * features.shift + features.frame  # of a block, and of the frame before it
        while len(self._samples) >= size:
            yield self._block(self._samples[:size], _FRAMES)
            self._samples = self._samples[_FRAMES * features.shift :]
        left = int(num_frames(features, self._arrived)) - self._made if is_last else 0
        while left > 0:
            count = min(left, _FRAMES)
            block = np.zeros(size, np.float32)
            there = self._samples[:size]
            block[: len(there)] = there
            yield self._block(block, count, valid=len(there))
            self._samples = self._samples[count * features.shift :]
            left -= count

    def _block(self, samples: np.ndarray, count: int, valid: int | None = None) -> np.ndarray:
        lengths = np.array([len(samples) if valid is None else valid])
        self._made += count
        return np.asarray(_frames(self._features, samples[None], lengths))[0, 1 : 1 + count]

    def _finish(self, static: np.ndarray, is_last: bool) -> np.ndarray:
        """Adds differences, for which the frames before wait, and scales."""
        arrived = [static]
        for delta in self._deltas:
            arrived.append(delta.push(arrived[-1], is_last=is_last))
        self._waiting = [np.concatenate(pair) for pair in zip(self._waiting, arrived, strict=True)]
        known = min(map(len, self._waiting))
        parts = [waiting[:known] for waiting in self._waiting]
        self._waiting = [waiting[known:] for waiting in self._waiting]
        frames = np.concatenate(parts, axis=1)
        return frames if self._scale is None else self._scale.push(frames)


@functools.partial(jax.jit, static_argnums=0)
def _frames(features: Features, samples: jax.Array, lengths: jax.Array) -> jax.Array:
    static = log_mel(features, samples, lengths)
    return cepstra(static) if features.kind == "mfcc" else static


class _Delta:
    """Differences over time, of which each waits for the frames that stand behind it."""

    def __init__(self, frames: np.ndarray) -> None:
        self._frames = frames  # that are kept, none at first
        self._first = 0  # of them
        self._next = 0  # to be given

    def push(self, frames: np.ndarray, *, is_last: bool) -> np.ndarray:
        kept = np.concatenate([self._frames, frames])
        arrived = self._first + len(kept)
        end = arrived if is_last else max(self._next, arrived - DELTA_REACH)
        places = np.arange(self._next, end)
        total = np.zeros([len(places), *kept.shape[1:]], np.float32)
        for k in range(1, DELTA_REACH + 1):
            after, before = (
                np.clip(places + step, 0, max(arrived - 1, 0)) - self._first for step in (k, -k)
            )
            total += k * (kept[after] - kept[before])
        self._next = end
        drop = max(0, end - DELTA_REACH - self._first)
        self._frames, self._first = kept[drop:], self._first + drop
        return total / (2 * sum(k * k for k in range(1, DELTA_REACH + 1)))


class _RunningScale:
    """Mean 0 and variance 1 of each feature, over the frames so far."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: Any = 0.0
        self._squares: Any = 0.0  # sum of squared distances from the mean

    def push(self, frames: np.ndarray) -> np.ndarray:
        """Scales frames `[T, F]` by what has come, themselves included."""
        if not len(frames):
            return frames
        count = self._count + len(frames)
        mean = frames.mean(axis=0, dtype=np.float64)
        apart = mean - self._mean
        self._squares = (
            self._squares
            + np.square(frames - mean).sum(axis=0)
            + np.square(apart) * self._count * len(frames) / count
        )
        self._mean, self._count = self._mean + apart * len(frames) / count, count
        deviation = np.sqrt(self._squares / count + SMALLEST_VARIANCE)
        return ((frames - self._mean) / deviation).astype(np.float32)
