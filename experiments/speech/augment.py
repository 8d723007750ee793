"""Changes of recordings in training, so that a few recordings stand for many.

    perturb(signal, change)          cut at the ends, played faster or slower, between silences
    mask_spectrum(key, spectrum)     stretches of time and of frequency hidden

Both are pure functions. A `Change` is drawn from a generator of the host, because it decides how
long a sound is; what is hidden is drawn from a key, on the device.

References:
  Ko, Peddinti, Povey and Khudanpur, Audio Augmentation for Speech Recognition, 2015 (speed);
  Park et al., SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition, 2019
  (masks; no time warping); Jaitly and Hinton, Vocal Tract Length Perturbation Improves Speech
  Recognition, 2013 (what speed does to a spectrum).
"""

import dataclasses
import fractions
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.speech.features import Features, band_centres, spectrum_basis

_LARGEST_DENOMINATOR = 100
_MOST_CUT = 10  # at either end, one part in so many of a recording
_QUIET = 20  # silence is like the quietest of so many parts of a recording
_MOST_HIDDEN = 5  # by one mask over time, one part in so many of a recording


class Change(NamedTuple):
    """How a recording is changed, in steps: samples, or frames of MFCC."""

    speed: float = 1.0  # 1.1 is a tenth faster, and a tenth higher
    cut: tuple[int, int] = (0, 0)  # steps cut off before and behind, of the recording as it is
    silence: tuple[int, int] = (0, 0)  # steps of silence before and behind
    seed: int = 0  # of the silence

    def length(self, steps: int) -> int:
        """Steps of a recording of so many, once it is changed."""
        kept = steps - sum(self.cut)
        faster, slower = _ratio(self.speed)
        return sum(self.silence) - (-kept * slower // faster)


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """What changes are drawn from."""

    speeds: tuple[float, ...] = (1.0,)
    cut: int = 0  # most steps cut off at either end
    silence: int = 0  # most steps of silence at either end

    def draw(self, rng: np.random.Generator, steps: int) -> Change:
        """Draws the change of a recording of so many steps; no end loses more than a tenth."""
        if self == AS_THEY_ARE:
            return Change()
        cut = rng.integers(0, min(self.cut, steps // _MOST_CUT) + 1, size=2)
        silence = rng.integers(0, self.silence + 1, size=2)
        return Change(
            speed=float(rng.choice(self.speeds)),
            cut=(int(cut[0]), int(cut[1])),
            silence=(int(silence[0]), int(silence[1])),
            seed=int(rng.integers(2**31)),
        )


AS_THEY_ARE = Perturbation()


def perturb(signal: np.ndarray, change: Change) -> np.ndarray:
    """Cuts, speeds up or slows down, and surrounds with silence.

    Args:
      signal: samples `[N]`, or MFCC `[T, 13]`, of which the spectrum is stretched.
      change: what to do; its steps are those of the signal.

    Returns:
      The same kind of array, of `change.length(len(signal))` steps.
    """
    before, behind = change.cut
    kept = signal[before : len(signal) - behind]
    if change.speed != 1:
        kept = _resampled(kept, change.speed) if signal.ndim == 1 else _warped(kept, change.speed)
    if not any(change.silence):
        return kept
    rng = np.random.default_rng(change.seed)
    ends = [_silence(signal, steps, rng) for steps in change.silence]
    return np.concatenate([ends[0], kept, ends[1]]).astype(signal.dtype)


def _ratio(speed: float) -> tuple[int, int]:
    """A speed as a fraction of small numbers."""
    ratio = fractions.Fraction(speed).limit_denominator(_LARGEST_DENOMINATOR)
    return ratio.numerator, ratio.denominator


def _resampled(samples: np.ndarray, speed: float) -> np.ndarray:
    from scipy.signal import resample_poly  # half a second

    faster, slower = _ratio(speed)
    return resample_poly(samples, slower, faster).astype(samples.dtype)


def _warped(frames: np.ndarray, speed: float) -> np.ndarray:
    """MFCC of a sound that is faster: frames between frames, bands between bands."""
    faster, slower = _ratio(speed)
    places = np.arange(-(-len(frames) * slower // faster)) * (faster / slower)
    left = np.minimum(places.astype(int), len(frames) - 1)
    right = np.minimum(left + 1, len(frames) - 1)
    share = (places - left)[:, None]
    between = (1 - share) * frames[left] + share * frames[right]
    return (between @ _warp(speed)).astype(frames.dtype)


def _warp(speed: float) -> np.ndarray:
    """What makes cepstra `[T, 13]` those of the spectrum at frequencies divided by `speed`."""
    basis, hertz = spectrum_basis(), band_centres(Features().rate)
    stretched = [np.interp(hertz / speed, hertz, column) for column in basis.T]
    return np.array(stretched) @ basis


def _silence(signal: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    """So many steps like the quietest part of the signal."""
    if signal.ndim == 2:
        quiet = np.argsort(signal[:, 0])[: max(1, len(signal) // _QUIET)]
        return signal[rng.choice(quiet, steps)]
    parts = np.array_split(signal, min(_QUIET, len(signal)))
    level = min(float(np.sqrt(np.mean(np.square(part)))) for part in parts)
    return level * rng.standard_normal(steps)


@dataclasses.dataclass(frozen=True)
class Masks:
    """What is hidden of a spectrum: how many stretches, and how wide each is at most. Static."""

    frequency: tuple[int, int] = (0, 0)  # number, bands
    time: tuple[int, int] = (0, 0)  # number, frames

    @property
    def number(self) -> int:
        """All of them."""
        return self.frequency[0] + self.time[0]


NO_MASKS = Masks()


def mask_spectrum(
    masks: Masks, spectrum: jax.Array, length: jax.Array, key: jax.Array
) -> jax.Array:
    """Hides stretches of time and of frequency: there, every band has its mean over the recording.

    The width of a stretch is drawn from 0 to the widest, a fifth of the recording at most where it
    is one of time; then its place, inside the valid frames or bands.

    Args:
      masks: static.
      spectrum: `[T, F]`, logarithmic power.
      length: `[]`, valid frames; those behind are returned as they are.
      key: consumed.

    Returns:
      `[T, F]`.
    """
    frames, bands = spectrum.shape
    key_frequency, key_time = jax.random.split(key)
    hidden_bands = _stretches(key_frequency, *masks.frequency, bands, jnp.asarray(bands))
    count, widest = masks.time
    widest = jnp.minimum(widest, length // _MOST_HIDDEN)
    hidden_frames = _stretches(key_time, count, widest, frames, length)
    valid = (jnp.arange(frames) < length)[:, None]
    total = jnp.where(valid, spectrum, 0).sum(axis=0)
    mean = total / jnp.maximum(length, 1)
    hidden = (hidden_frames[:, None] | hidden_bands[None]) & valid
    return jnp.where(hidden, mean[None], spectrum)


def _stretches(
    key: jax.Array, count: int, widest: jax.Array | int, size: int, length: jax.Array
) -> jax.Array:
    """Which of `size` places lie in one of `count` stretches, all within the first `length`."""
    key_width, key_start = jax.random.split(key)
    width = jax.random.randint(key_width, [count], 0, jnp.asarray(widest) + 1)
    start = jax.random.randint(key_start, [count], 0, jnp.maximum(length - width, 0) + 1)
    places = jnp.arange(size)[:, None]
    return ((places >= start[None]) & (places < (start + width)[None])).any(axis=1)
