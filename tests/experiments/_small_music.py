"""Music that takes seconds: short pieces of four voices, tiny models."""

import json

import mido
import numpy as np

from experiments.music import data, midi
from experiments.runner.data.reading import Reading

OPTIONS = {
    "cell": "elman",
    "hidden_size": 5,
    "frames_per_batch": 40,
    "buckets": 1,
    "layers": 1,
    "transpose": 2,
    "epochs": 1,
    "epochs_per_evaluation": 1,
}


def pieces(seed, count):
    """Pieces as JSON has them: chords of four notes that move by small steps, and some of three."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        chord = np.array([48, 55, 64, 72])
        frames = []
        for frame in range(6 + number % 4):
            chord = np.clip(chord + rng.integers(-2, 3, 4), [40, 50, 58, 67], [48, 56, 64, 76])
            frames.append([int(note) for note in chord[: 3 if frame == 2 else 4]])
        made.append(frames)
    return made


def write_data(folder):
    """Writes pieces of three parts into one file."""
    parts = {"train": pieces(0, 6), "valid": pieces(1, 3), "test": pieces(2, 3)}
    path = folder / "small.json"
    path.write_text(json.dumps(parts))
    return path


def read_rolls(path, part, frames_per_beat=1):
    """The pieces of a part; nothing is told."""
    return data.read_rolls(path, part, Reading(), frames_per_beat)


def read_midi(path, frames_per_beat=1):
    """A piece; nothing is told."""
    return midi.read_midi(path, Reading(), frames_per_beat)


def random_roll(seed, frames=9):
    roll = (np.random.default_rng(seed).random([frames, 88]) < 0.05).astype(np.float32)
    roll[[0, -1], 40] = 1
    return roll


def write_messages(path, *tracks, ticks=100):
    """A file of tracks of (kind, note, velocity, wait, channel)."""
    file = mido.MidiFile(ticks_per_beat=ticks)
    for track in tracks:
        messages = [
            mido.Message(kind, note=note, velocity=velocity, time=wait, channel=channel)
            for kind, note, velocity, wait, channel in track
        ]
        file.tracks.append(mido.MidiTrack(messages))
    file.save(path)
    return path


def write_loud(path, note=61):
    """A piece, of which a byte is above 127: a velocity, or with `note` 200 a pitch."""
    roll = np.zeros([3, 88], np.float32)
    roll[:, 40] = roll[1, 44] = 1
    midi.write_midi(path, roll)
    content = path.read_bytes()
    path.write_bytes(content.replace(bytes([61, 80]), bytes([note, 200])))
    assert path.read_bytes() != content
    return roll
