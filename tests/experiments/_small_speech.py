"""Spoken noise that takes seconds to learn: a few wav files, each word two tones in its order."""

import numpy as np
from scipy.io import wavfile

from experiments.speech.config import SpeechConfig
from tests.experiments._commands import options

RATE = 2000
TONES = {"one": (250, 610), "two": (610, 250)}
OPTIONS = {
    "rate": RATE,
    "cell": "elman",
    "hidden_size": 6,
    "subsample": (2,),
    "dropout": 0.0,
    "noise": 0.0,
    "steps": 0,
    "speeds": (1.0,),
    "cut": 0.0,
    "silence": 0.0,
    "frequency_masks": (0, 0),
    "time_masks": (0, 0),
    "epochs": 3,
    "batch_size": 4,
    "strings": 6,
    "beam_width": 3,
}


def sound(word, seed, rate=RATE, seconds=0.25):
    """Two tones, one after the other, with some noise, as 16 bits."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(seconds * rng.uniform(0.8, 1.2) * rate)) / rate
    hertz = np.where(times < times[-1] / 2, *TONES[word])
    wave = np.sin(2 * np.pi * hertz * times)
    wave = wave + 0.1 * rng.normal(size=times.shape)
    return (5000 * wave).astype(np.int16)


def write_wav(path, samples, rate=RATE):
    """Writes a wav file, its folder too, and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, samples)
    return path


def write_folder(folder, number=4):
    """Writes a folder of wav files with a table, and returns it."""
    folder.mkdir(exist_ok=True)
    lines = ["file\ttext\tsplit\tspeaker"]
    for part, count in {"train": number, "dev": 2, "test": 3}.items():
        for word in TONES:
            for i in range(count):
                name = f"{part}_{word}_{i}.wav"
                wavfile.write(folder / name, RATE, sound(word, [i, len(part), len(lines)]))
                lines.append(f"{name}\t{word}\t{part}\t{'ann' if i % 2 else 'bob'}")
    (folder / "transcripts.tsv").write_text("\n".join(lines) + "\n")
    return folder


def config(data, **changes):
    """The settings, with changes."""
    return SpeechConfig(data=data, **{**OPTIONS, **changes})


def arguments(data, run, **changes):
    """The settings as a command line."""
    return ["train", *options(data=data, run=run, **OPTIONS | changes)]
