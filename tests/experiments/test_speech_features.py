"""Features of speech against loops in NumPy and SciPy, and against what is shipped."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.fft import dct

from experiments.runner.data.reading import Reading
from experiments.speech.config import BUNDLED
from experiments.speech.data import read_recordings
from experiments.speech.features import Features, extract, mel_filters, num_frames, spectrum_of

LENGTHS = np.array([700, 333, 120, 0])  # seven frames, two, less than one, none
FRAMES = [7, 2, 1, 0]
features = jax.jit(extract, static_argnames="features")


@pytest.fixture(scope="module")
def signals():
    rng = np.random.default_rng(3)
    return rng.normal(scale=2000, size=[len(LENGTHS), 700]).astype(np.float32)


def filters(rate, size):
    """The triangles, one bin at a time."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    hertz = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(0, top, 28)]
    edges = [int((size + 1) * one / rate) for one in hertz]
    bank = np.zeros([26, size // 2 + 1])
    for j in range(26):
        for k in range(edges[j], edges[j + 1]):
            bank[j, k] = (k - edges[j]) / (edges[j + 1] - edges[j])
        for k in range(edges[j + 1], edges[j + 2]):
            bank[j, k] = (edges[j + 2] - k) / (edges[j + 2] - edges[j + 1])
    return bank


def slopes(frames):
    """HTK's regression over two frames on either side."""
    last = len(frames) - 1
    rows = [
        sum(k * (frames[min(t + k, last)] - frames[max(t - k, 0)]) for k in (1, 2)) / 10
        for t in range(len(frames))
    ]
    return np.array(rows)


def oracle(signal, kind, rate=8000, deltas=2, normalise=True):
    """The features of one sound in float64, `[T, F]`."""
    frame, shift = int(rate * 0.025), int(rate * 0.01)
    signal = np.array(signal, np.float64)
    emphasised = np.append(signal[0], signal[1:] - 0.97 * signal[:-1])
    emphasised = np.append(emphasised, np.zeros(max(frame - len(signal), 0)))
    rows = []
    for start in range(0, len(emphasised) - frame + 1, shift):
        spectrum = np.fft.rfft(emphasised[start : start + frame] * np.hamming(frame), 256)
        bands = filters(rate, 256) @ (np.abs(spectrum) ** 2 / 256)
        rows.append(np.log(np.maximum(bands, 1e-3)))
    rows = np.array(rows)
    if kind == "mfcc":
        rows = dct(rows, norm="ortho", axis=1)[:, :13]
    parts = [rows]
    for _ in range(deltas):
        parts.append(slopes(parts[-1]))
    rows = np.concatenate(parts, axis=1)
    if normalise:
        rows = (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-5)
    return rows


@pytest.mark.parametrize(
    ("kind", "deltas", "normalise"),
    [("mfcc", 0, False), ("mfcc", 2, True), ("log_mel", 1, False), ("log_mel", 0, True)],
)
def test_features_equal_those_of_a_loop(signals, kind, deltas, normalise):
    settings = Features(kind, 8000, deltas, normalise)
    dirty = np.where(np.arange(700) < LENGTHS[:, None], signals, np.float32(1e3))
    xs, lengths = features(settings, dirty, LENGTHS)
    assert lengths.tolist() == FRAMES and xs.shape == (4, 7, settings.size)
    for row, count in zip(range(3), FRAMES, strict=False):
        want = oracle(signals[row, : LENGTHS[row]], kind, deltas=deltas, normalise=normalise)
        np.testing.assert_allclose(xs[row, :count], want, atol=3e-3, rtol=1e-3)
        assert not np.asarray(xs[row, count:]).any()
    assert not np.asarray(xs[3]).any()


def test_frames_follow_the_rate(signals):
    settings = Features("log_mel", 10_000, deltas=0, normalise=False)
    xs, lengths = features(settings, signals[:1], LENGTHS[:1])
    want = oracle(signals[0], "log_mel", rate=10_000, deltas=0, normalise=False)
    assert lengths.tolist() == [len(want)] == [5]
    np.testing.assert_allclose(xs[0], want, atol=1e-3)


def test_filters_overlap_and_peak_at_one():
    bank = mel_filters(8000, 256)
    assert bank.max() == 1 and bank.min() == 0
    np.testing.assert_allclose(bank, filters(8000, 256), atol=1e-6)


def test_features_of_mfcc_are_those_of_the_sound_they_come_from(signals):
    plain = Features("mfcc", deltas=0, normalise=False)
    mfcc, frames = features(plain, signals, LENGTHS)
    want, _ = features(Features("mfcc"), signals, LENGTHS)
    got, lengths = features(Features("mfcc"), mfcc, frames)
    np.testing.assert_allclose(got, want, atol=5e-5)  # rounding, before a logarithm
    assert lengths.tolist() == FRAMES


def test_mfcc_do_not_become_log_power():
    with pytest.raises(ValueError, match="no log_mel can be computed"):
        extract(Features("log_mel"), jnp.zeros([1, 4, 13]), jnp.array([4]))


def test_spectrum_of_mfcc_is_a_smooth_one(signals):
    log_mel, _ = features(Features("log_mel", deltas=0, normalise=False), signals, LENGTHS)
    mfcc, _ = features(Features("mfcc", deltas=0, normalise=False), signals, LENGTHS)
    coefficients = dct(np.asarray(log_mel), norm="ortho", axis=2)
    coefficients[..., 13:] = 0
    want = dct(coefficients, type=3, norm="ortho", axis=2)
    np.testing.assert_allclose(spectrum_of(mfcc), want, atol=1e-3)


def test_shipped_recordings_are_whole_and_in_the_official_split():
    recordings = read_recordings(BUNDLED, 8000, Reading())
    assert len(recordings) == 3000
    assert sum(one.part == "test" for one in recordings) == 300
    one = recordings[1]
    assert (one.name, one.words, one.part) == ("0_george_1", ("0",), "test")
    assert one.signal.shape == (57, 13) and int(num_frames(Features(), 4727)) == 57
