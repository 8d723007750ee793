"""Speech that is transcribed while it arrives: features, network and CTC, piece by piece.

    samples -> log mel of whole frames -> cepstra, differences -> scale -> windows -> labels
               25 ms of sound            2 frames ahead for each        chunk and look-ahead

The features are those of the whole recording. Only what normalises them cannot be known before its
end: it is the mean and the deviation of the frames so far. A network of one direction hands its
states on from chunk to chunk; one of both directions sees, in its backward direction, the chunk and
the look-ahead (`birnn_jax.streaming.latency_controlled`).
"""

import functools
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import streaming
from experiments.speech.features import (
    DELTA_REACH,
    FRAME_SECONDS,
    SHIFT_SECONDS,
    Features,
    cepstra,
    log_mel,
    num_frames,
)
from experiments.speech.model import SpeechModel, TrainedListener

_SMALLEST = 1e-5  # added to a variance, as `features.finish` does
_FRAMES = 16  # that are computed at once


class FeatureStream:
    """The features of a sound that arrives in pieces of any length."""

    def __init__(self, features: Features):
        """Nothing has arrived yet."""
        self._features = features
        self._samples = np.zeros(features.shift, np.float32)  # a frame before the first, dropped
        self._arrived = 0
        self._made = 0  # frames of log mel
        self._deltas = [_Delta() for _ in range(features.deltas)]
        self._waiting: list[np.ndarray] = [np.zeros([0, 1])] * (features.deltas + 1)
        self._scale = _RunningScale() if features.normalise else None

    def push(self, samples: np.ndarray, *, is_last: bool = False) -> np.ndarray:
        """Takes samples `[N]` on the scale of 16 bits; gives the frames known now, `[T, F]`.

        Args:
          samples: what has arrived, of any number.
          is_last: whether nothing comes after it.
        """
        self._arrived += len(samples)
        self._samples = np.concatenate([self._samples, samples.astype(np.float32)])
        pieces = [*self._static(is_last)]
        static = np.concatenate(pieces) if pieces else np.zeros([0, self._size], np.float32)
        return self._finish(static, is_last)

    @property
    def _size(self) -> int:
        return self._features.size // (1 + self._features.deltas)

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
        arrived, parts = static, []
        for place in range(len(self._waiting)):
            waiting = self._waiting[place]
            self._waiting[place] = np.concatenate([waiting, arrived]) if len(waiting) else arrived
            if place < len(self._deltas):
                arrived = self._deltas[place].push(arrived, is_last=is_last)
        known = min(map(len, self._waiting))
        parts = [waiting[:known] for waiting in self._waiting]
        self._waiting = [waiting[known:] for waiting in self._waiting]
        frames = np.concatenate(parts, axis=1).astype(np.float32)
        return frames if self._scale is None else self._scale.push(frames)


@functools.partial(jax.jit, static_argnums=0)
def _frames(features: Features, samples: jax.Array, lengths: jax.Array) -> jax.Array:
    static = log_mel(features, samples, lengths)
    return cepstra(static) if features.kind == "mfcc" else static


class _Delta:
    """Differences over time, of which each waits for the frames that stand behind it."""

    def __init__(self) -> None:
        self._frames: np.ndarray | None = None
        self._first = 0  # of the frames that are kept
        self._next = 0  # to be given

    def push(self, frames: np.ndarray, *, is_last: bool) -> np.ndarray:
        kept = frames if self._frames is None else np.concatenate([self._frames, frames])
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
        deviation = np.sqrt(self._squares / count + _SMALLEST)
        return ((frames - self._mean) / deviation).astype(np.float32)


class Delay(NamedTuple):
    """Seconds that a sound waits before its label can be known, apart from computing."""

    chunk: float
    lookahead: float
    features: float  # the frame, and the frames ahead for differences

    @property
    def total(self) -> float:
        """All together."""
        return self.chunk + self.lookahead + self.features


def latency_of(delay: Delay, spent: Sequence[float], seconds: float) -> dict[str, float]:
    """The latency of a stream, in milliseconds, and its real-time factor.

    Args:
      delay: what a sound waits for.
      spent: seconds that each step was computed.
      seconds: of sound.
    """
    return {
        "wait_ms": round(1000 * delay.total, 1),
        "chunk_ms": round(1000 * delay.chunk, 1),
        "lookahead_ms": round(1000 * delay.lookahead, 1),
        "features_ms": round(1000 * delay.features, 1),
        "compute_ms": round(1000 * statistics.median(spent), 2),
        "longest_compute_ms": round(1000 * max(spent), 2),
        "real_time_factor": round(sum(spent) / seconds, 4),
    }


def sentence_of(latency: Mapping[str, float]) -> str:
    """What `latency_of` says, in words."""
    return (
        "A sound waits at most {wait_ms:.0f} ms: chunk {chunk_ms:.0f}, look-ahead "
        "{lookahead_ms:.0f}, features {features_ms:.0f}. A chunk takes {compute_ms:.1f} ms to "
        "compute, at most {longest_compute_ms:.1f}; real-time factor {real_time_factor:.3f}."
    ).format(**latency)


class Partial(NamedTuple):
    """What was heard so far."""

    seconds: float  # of sound that had arrived
    words: tuple[str, ...]
    compute_seconds: float  # that this step took


class LiveListener:
    """A trained network that transcribes a sound while it arrives.

    Args:
      listener: of a run with --task row.
      chunk: frames of 10 ms that are computed together.
      lookahead: frames behind them that a backward direction sees.

    Raises:
      ValueError: if the network cannot be run so.
    """

    def __init__(self, listener: TrainedListener, *, chunk: int, lookahead: int):
        """Checks, and takes the labels."""
        model = listener.config.model
        directions = {layer.direction for layer in model.layers}
        if model.task != "row":
            raise ValueError(
                "This run was trained with --task label: it names whole recordings, at their end. "
                "Give a run trained with --task row."
            )
        if directions == {"bwd"}:
            raise ValueError("A network of the backward direction alone begins at the end.")
        rate = int(np.prod(listener.config.subsample))
        self.chunk = _multiple(chunk, rate)
        self.lookahead = 0 if directions == {"fwd"} else _multiple(lookahead, rate)
        self.model, self.params, self.labels = model, listener.params, listener.labels
        self._warm_up()

    @property
    def delay(self) -> Delay:
        """What a sound waits for."""
        ahead = DELTA_REACH * self.model.features.deltas * SHIFT_SECONDS
        chunk, lookahead = self.chunk * SHIFT_SECONDS, self.lookahead * SHIFT_SECONDS
        return Delay(chunk, lookahead, FRAME_SECONDS + ahead)

    def listen(self, pieces: Iterable[np.ndarray]) -> Iterator[Partial]:
        """The words after each piece of a sound `[N]`, and after its end."""
        features, words = FeatureStream(self.model.features), _Words(self.labels)
        carry = streaming.initial_carry(self.model.layers, self.params.rnn, 1)
        waiting = np.zeros([0, self.model.features.size], np.float32)
        arrived = 0
        for piece in _ended(pieces):
            start = time.perf_counter()
            is_last = piece is None
            piece = np.zeros(0, np.float32) if piece is None else piece
            arrived += len(piece)
            waiting = np.concatenate([waiting, features.push(piece, is_last=is_last)])
            while len(waiting) >= self.chunk + self.lookahead or (is_last and len(waiting)):
                carry, best = self._step(carry, waiting)
                words.add(best)
                waiting = waiting[self.chunk :]
            spent = time.perf_counter() - start
            yield Partial(arrived / self.model.features.rate, words.heard, spent)

    def _step(self, carry: Any, waiting: np.ndarray) -> tuple[Any, np.ndarray]:
        """The likeliest class of each step of the first chunk of what waits."""
        size = self.chunk + self.lookahead
        window = np.zeros([1, size, waiting.shape[1]], np.float32)
        there = waiting[:size]
        window[0, : len(there)] = there
        carry, best = _best(self.model, self.params, carry, window, len(there), self.chunk)
        steps = min(len(there), self.chunk)
        for every in (layer.subsample for layer in self.model.layers):
            steps = -(-steps // every)
        return carry, np.asarray(best)[0, :steps]

    def _warm_up(self) -> None:
        """Compiles all that a stream calls."""
        features = self.model.features
        carry = streaming.initial_carry(self.model.layers, self.params.rnn, 1)
        self._step(carry, np.zeros([1, features.size], np.float32))
        FeatureStream(features).push(np.zeros(features.frame), is_last=True)


class _Words:
    """Labels of CTC, of which neighbours that are equal are one, and blanks none."""

    def __init__(self, labels: list[str]):
        self._labels = labels
        self._before = 0  # the blank
        self.heard: tuple[str, ...] = ()

    def add(self, classes: np.ndarray) -> None:
        """Takes the likeliest class of some more steps."""
        for k in classes.tolist():
            if k not in (0, self._before):
                self.heard += (self._labels[k - 1],)
            self._before = k


@functools.partial(jax.jit, static_argnums=(0, 5))
def _best(
    model: SpeechModel, params: Any, carry: Any, window: jax.Array, valid: jax.Array, chunk: int
) -> tuple[Any, jax.Array]:
    carry, ys = streaming.latency_controlled_step(
        model.layers, params.rnn, carry, window, chunk_size=chunk, lengths=jnp.asarray(valid)[None]
    )
    return carry, (ys @ params.w + params.b[None, None]).argmax(axis=-1)


def _multiple(size: int, rate: int) -> int:
    """The next multiple of the steps that the network reads as one."""
    return -(-size // rate) * rate


def _ended(pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
    """The pieces, and None behind them."""
    yield from pieces
    yield None
