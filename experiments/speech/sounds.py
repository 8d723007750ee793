"""Sounds: what a recording is, and wav files of any rate as samples at one."""

import io
import math
import pathlib
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console

from experiments.runner.data.files import parsed_as, read_bytes
from experiments.runner.data.reading import STANDARD_INPUT, file_or_standard_input

_FULL_SCALE = 2.0**15


class Recording(NamedTuple):
    """A sound and what is said in it."""

    name: str
    signal: np.ndarray  # float32: samples [N] on the scale of 16 bits, or MFCC [T, 13]
    words: tuple[str, ...]
    speaker: str
    part: str | None  # "train", "dev" or "test"; None where nothing says it


class Sound(NamedTuple):
    """What a wav file holds."""

    samples: np.ndarray  # [N] float32, on the scale of 16 bits, at the rate asked for
    rate: int  # samples a second in the file


def read_wav(path: pathlib.Path, rate: int) -> Sound:
    """Reads a wav file; channels are averaged, and another rate is resampled to `rate`.

    Raises:
      ValueError: names the file if it is not a wav file, or has no sample.
    """
    from scipy.io import wavfile  # a tenth of a second

    content = read_bytes(path)
    with parsed_as(path, "a wav file"), warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks that are not sound
        file_rate, samples = wavfile.read(io.BytesIO(content))
    if not samples.size:
        raise ValueError(f"{path} has no sample: it is empty.")
    samples = _on_scale(samples)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if file_rate != rate:
        from scipy.signal import resample_poly  # half a second

        shared = math.gcd(rate, file_rate)
        samples = resample_poly(samples, rate // shared, file_rate // shared)
    if not np.isfinite(samples).all():
        raise ValueError(f"{path} has samples that are not finite.")
    return Sound(samples.astype(np.float32), file_rate)


def read_alone(path: pathlib.Path, rate: int) -> Recording:
    """Reads one wav file without a transcript; reports it if it was resampled."""
    sound = read_wav(path, rate)
    if sound.rate != rate:
        tell_resampled(str(path), [sound.rate], rate)
    return Recording(str(path), sound.samples, (), "", "test")


def wav_files(paths: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """The files that a command line names: of a folder all its wav files, `STANDARD_INPUT` for -.

    Raises:
      ValueError: if there is none, or one does not exist.
    """
    files: list[pathlib.Path] = []
    for path in map(file_or_standard_input, paths):
        if path.is_dir():
            files += wavs_of(path)
        elif path == STANDARD_INPUT or path.exists():
            files.append(path)
        else:
            raise ValueError(f"{path} does not exist.")
    if not files:
        where = f" in {', '.join(map(str, paths))}" if paths else ""
        raise ValueError(f"There is no wav file to transcribe{where}.")
    return files


def wavs_of(folder: pathlib.Path) -> list[pathlib.Path]:
    """The wav files of a folder and of those in it, in order."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".wav")
    return [path for path in files if not path.name.startswith("._")]  # of macOS, no sounds


def tell_resampled(what: str, rates: Sequence[int], rate: int) -> None:
    """Says on standard error what rates were not that of the network."""
    found = ", ".join(f"{number:,}" for number in sorted(set(rates)))
    line = f"{what}: {found} samples a second, resampled to {rate:,}."
    Console(stderr=True).print(line, highlight=False, soft_wrap=True)


def _on_scale(samples: np.ndarray) -> np.ndarray:
    """Samples of any format on the scale of 16 bits."""
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) * 2**8
    if np.issubdtype(samples.dtype, np.integer):
        return samples * (_FULL_SCALE / 2.0 ** (8 * samples.dtype.itemsize - 1))
    return samples * _FULL_SCALE
