"""Speech that is transcribed while it arrives: features, network and CTC, piece by piece.

    samples -> features (`feature_stream`) -> windows, chunk and look-ahead -> logits -> words

A network of one direction hands its states on from chunk to chunk; one of both directions sees, in
its backward direction, the chunk and the look-ahead (`birnn_jax.streaming.latency_controlled`).
"""

import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from birnn_jax import streaming
from experiments.speech.feature_stream import FeatureStream
from experiments.speech.features import DELTA_REACH, FRAME_SECONDS, SHIFT_SECONDS
from experiments.speech.latency import Delay
from experiments.speech.model import Heard, SpeechModel, TrainedListener
from experiments.speech.sounds import Recording
from experiments.speech.utterances import make_draw

CHUNK, LOOKAHEAD = 32, 32  # frames of 10 ms, by default


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
                "This run was trained with --task label, which labels whole recordings. "
                "Give a run trained with --task row."
            )
        if directions == {"bwd"}:
            raise ValueError(
                "A network of the backward direction alone cannot transcribe a stream: it starts "
                "at the end of a sound. Give a run with --direction both or fwd."
            )
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
        """The words after each piece of a sound, `[N]` or cepstra `[N, 13]`, and after its end."""
        features, words = FeatureStream(self.model.features), _Words(self.labels)
        carry = streaming.initial_carry(self.model.layers, self.params.rnn, 1)
        waiting = np.zeros([0, self.model.features.size], np.float32)
        arrived = 0
        for piece in _ended(pieces):
            start = time.perf_counter()
            is_last = piece is None
            piece = np.zeros(0, np.float32) if piece is None else piece
            arrived += len(piece) * (self.model.features.shift if piece.ndim == 2 else 1)
            waiting = np.concatenate([waiting, features.push(piece, is_last=is_last)])
            while len(waiting) >= self.chunk + self.lookahead or (is_last and len(waiting)):
                carry, best = self._step(carry, waiting)
                words.add(best)
                waiting = waiting[self.chunk :]
            spent = time.perf_counter() - start
            yield Partial(arrived / self.model.features.rate, words.heard, spent)

    def listen_to(self, signal: np.ndarray) -> Iterator[Partial]:
        """The words after each chunk of a sound that is there, and after its end."""
        size = self.chunk * (1 if signal.ndim == 2 else self.model.features.shift)
        return self.listen(signal[i : i + size] for i in range(0, len(signal), size))

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


class Streamed(NamedTuple):
    """What was heard in several sounds, each as a stream."""

    heard: list[Heard]
    spent: list[float]  # seconds that each chunk was computed
    seconds: float  # of sound


def stream_recordings(
    live: LiveListener, listener: TrainedListener, recordings: Sequence[Recording]
) -> Streamed:
    """Hears as a stream what `listener.listen(recordings)` hears as a whole."""
    known = listener.known_with(recordings)
    heard, spent, seconds = [], [], 0.0
    for number, take in enumerate(make_draw(listener.config, recordings, known, None)(0), start=1):
        sound = take.render()
        steps = [*live.listen_to(sound.signal)]
        said = tuple(known[k] for k in sound.labels)
        heard.append(Heard(said, steps[-1].words, f"sound {number}"))
        spent += [step.compute_seconds for step in steps]
        seconds += steps[-1].seconds
    return Streamed(heard, spent, seconds)


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
