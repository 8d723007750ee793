"""Features of speech, computed from the samples of the sound in JAX.

    framed[t]  = w * (a[ts] .. a[ts + l - 1])           a[n] = x[n] - 0.97 x[n-1], w = Hamming
    power[t]   = |DFT(framed[t])|^2 / size of the DFT
    log_mel[t] = log(mel filters . power[t])
    mfcc[t]    = the first cepstra of an orthonormal DCT-II of log_mel[t]
    delta[t]   = sum_k k (c[t+k] - c[t-k]) / (2 sum_k k^2)            k = 1, 2; the ends repeated

with frames of l samples, 25 ms, every s samples, 10 ms. Samples are on the scale of 16 bits.

References:
  Davis and Mermelstein, Comparison of Parametric Representations for Monosyllabic Word Recognition
  in Continuously Spoken Sentences, 1980; Young et al., The HTK Book, section 5 (filters, deltas).
"""

import dataclasses
import functools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

FRAME_SECONDS, SHIFT_SECONDS = 0.025, 0.010
NUM_FILTERS, NUM_CEPSTRA = 26, 13
EMPHASIS = 0.97
QUIETEST = 1e-3  # power in a band below this, far under one step of 16 bits, counts as this
DELTA_REACH = 2
SMALLEST_VARIANCE = 1e-5  # added to that of a feature, which may be constant
Kind = Literal["mfcc", "log_mel"]


@dataclasses.dataclass(frozen=True)
class Features:
    """What is computed of a sound; static."""

    kind: Kind = "mfcc"
    rate: int = 8000  # samples a second
    deltas: int = 2  # how many times differences over time are added
    normalise: bool = True  # every feature to mean 0 and variance 1 over the recording

    @property
    def size(self) -> int:
        """Features of a frame."""
        return (NUM_CEPSTRA if self.kind == "mfcc" else NUM_FILTERS) * (1 + self.deltas)

    @property
    def frame(self) -> int:
        """Samples of a frame."""
        return round(FRAME_SECONDS * self.rate)

    @property
    def shift(self) -> int:
        """Samples from one frame to the next."""
        return round(SHIFT_SECONDS * self.rate)


def num_frames(features: Features, num_samples: jax.Array | int) -> Any:
    """Whole frames in so many samples; one, filled up with silence, where there is none.

    Example:
      >>> num_frames(Features(), jnp.array([0, 1, 200, 279, 280])).tolist()
      [0, 1, 1, 1, 2]
    """
    xp = jnp if isinstance(num_samples, jax.Array) else np  # numbers of the host stay there
    samples = xp.asarray(num_samples)
    whole = 1 + xp.maximum(samples - features.frame, 0) // features.shift
    return xp.where(samples > 0, whole, 0)


def extract(
    features: Features, signals: jax.Array, lengths: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The features of a batch of sounds.

    Args:
      features: static.
      signals: samples `[B, N]`, or MFCC `[B, T, 13]` that were computed before.
      lengths: `[B]`, valid samples or frames.

    Returns:
      `[B, T, F]`, zero in padding, and valid frames `[B]`.

    Raises:
      ValueError: if MFCC are to become something else.
    """
    static, lengths = spectrum_or_cepstra(features, signals, lengths)
    return finish(features, static, lengths), lengths


def spectrum_or_cepstra(
    features: Features, signals: jax.Array, lengths: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The features of each frame alone, `[B, T, 26]` or `[B, T, 13]`, and valid frames `[B]`.

    Args, Raises: as `extract`.
    """
    if signals.ndim == 3:
        if features.kind != "mfcc":
            raise ValueError(f"From MFCC no {features.kind} can be computed: give recordings.")
        return signals, lengths
    static = log_mel(features, signals, lengths)
    if features.kind == "mfcc":
        static = cepstra(static)
    return static, num_frames(features, lengths)


def log_mel(features: Features, signals: jax.Array, lengths: jax.Array) -> jax.Array:
    """Log power in the mel bands: samples `[B, N]` to `[B, T, 26]`."""
    before = jnp.pad(signals, ((0, 0), (1, 0)))[:, :-1]
    valid = jnp.arange(signals.shape[1])[None] < lengths[:, None]
    emphasised = jnp.where(valid, signals - EMPHASIS * before, 0)
    count = 1 + max(signals.shape[1] - features.frame, 0) // features.shift
    emphasised = jnp.pad(emphasised, ((0, 0), (0, features.frame)))
    starts = jnp.arange(count) * features.shift  # of sizes that may be symbols, in an export
    places = starts[:, None] + np.arange(features.frame)[None]
    window = np.hamming(features.frame).astype(np.float32)
    framed = emphasised[:, places] * window[None, None]
    size = fft_size(features.frame)
    power = jnp.square(jnp.abs(jnp.fft.rfft(framed, size))) / size
    return jnp.log(jnp.maximum(power @ mel_filters(features.rate, size).T, QUIETEST))


def cepstra(log_power: jax.Array) -> jax.Array:
    """Mel-frequency cepstral coefficients: `[B, T, 26]` to `[B, T, 13]`."""
    return log_power @ spectrum_basis()


def spectrum_of(mfcc: jax.Array) -> jax.Array:
    """The log power in the mel bands as far as MFCC tell it: `[..., 13]` to `[..., 26]`."""
    return mfcc @ spectrum_basis().T


def finish(features: Features, static: jax.Array, lengths: jax.Array) -> jax.Array:
    """Adds differences over time, and takes away what is the same in the whole recording."""
    parts = [static]
    for _ in range(features.deltas):
        parts.append(_delta(parts[-1], lengths))
    xs = jnp.concatenate(parts, axis=-1)
    valid = jnp.arange(xs.shape[1])[None, :, None] < lengths[:, None, None]
    if features.normalise:
        count = jnp.maximum(lengths, 1)[:, None, None]
        mean = jnp.where(valid, xs, 0).sum(axis=1, keepdims=True) / count
        square = jnp.where(valid, jnp.square(xs - mean), 0).sum(axis=1, keepdims=True) / count
        xs = (xs - mean) / jnp.sqrt(square + SMALLEST_VARIANCE)
    return jnp.where(valid, xs, 0)


@functools.cache
def mel_filters(rate: int, size: int) -> np.ndarray:
    """Triangles equally wide in mel, on the bins of a DFT of `size` samples: `[26, size // 2 + 1]`.

    Example:
      >>> mel_filters(8000, 256).shape
      (26, 129)
    """
    edges = np.floor((size + 1) * _band_edges(rate) / rate)[:, None]
    bins = np.arange(size // 2 + 1)[None]
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        rising, falling = (bins - left) / (middle - left), (right - bins) / (right - middle)
    filters = np.where(bins < middle, rising, falling)
    return np.where((bins >= left) & (bins < right), filters, 0).astype(np.float32)


def band_centres(rate: int) -> np.ndarray:
    """The frequency in hertz at which each mel band is loudest: `[26]`."""
    return _band_edges(rate)[1:-1]


def _band_edges(rate: int) -> np.ndarray:
    """Where bands begin, peak and end, each two after the other: `[28]`, in hertz."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    return 700 * (10 ** (np.linspace(0, top, NUM_FILTERS + 2) / 2595) - 1)


def spectrum_basis() -> np.ndarray:
    """Spectra of which MFCC are the shares, orthonormal columns of the DCT-II: `[26, 13]`."""
    band = (np.arange(NUM_FILTERS) + 0.5) * np.pi / NUM_FILTERS
    basis = np.cos(band[:, None] * np.arange(NUM_CEPSTRA)) * np.sqrt(2 / NUM_FILTERS)
    basis[:, 0] /= np.sqrt(2)
    return basis.astype(np.float32)


def fft_size(frame: int) -> int:
    """The next power of two."""
    return 1 << (frame - 1).bit_length()


def _delta(xs: jax.Array, lengths: jax.Array) -> jax.Array:
    """The slope of each feature over five frames."""
    last = jnp.maximum(lengths, 1)[:, None] - 1
    places = jnp.arange(xs.shape[1])[None]
    total = jnp.zeros_like(xs)
    for k in range(1, DELTA_REACH + 1):
        after, before = (jnp.clip(places + step, 0, last)[..., None] for step in (k, -k))
        after, before = (jnp.take_along_axis(xs, at, axis=1) for at in (after, before))
        total += k * (after - before)
    return total / (2 * sum(k * k for k in range(1, DELTA_REACH + 1)))
