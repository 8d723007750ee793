"""Piano rolls: which of the 88 keys sound in each frame of a piece.

Read from JSON, {"train": pieces, "valid": ..., "test": ...}, a piece being a list of frames and a
frame a list of MIDI numbers; from .mat files of Boulanger-Lewandowski's data, with traindata,
validdata and testdata; and from folders train, valid and test of MIDI files.
"""

import io
import json
import pathlib
import subprocess
import sys
from typing import Any, Literal

import numpy as np

from experiments.music.config import RollSettings
from experiments.music.midi import KEYS, LOWEST, read_midi
from experiments.runner.data.files import parsed_as, read_bytes, read_utf8

Part = Literal["train", "valid", "test"]
_MIDI = (".mid", ".midi")
_MAT_TO_NPZ = pathlib.Path(__file__).with_name("mat_to_npz.py")
_KINDS = (
    "JSON with pieces for train, valid and test, each a list of lists of MIDI numbers; a .mat file "
    "or a folder of MIDI files can be given, too"
)


def read_rolls(path: pathlib.Path, part: Part, frames_per_beat: int = 1) -> list[np.ndarray]:
    """Reads the pieces of one part, each `[T, 88]` float32 of 0 and 1.

    Args:
      path: the file, or the folder of folders.
      part: which part of it.
      frames_per_beat: of MIDI files; the others have their frames.

    Raises:
      ValueError: names the file for anything that cannot be read.
    """
    if path.is_dir():
        rolls = _read_folder(path / part, frames_per_beat)
    elif path.suffix == ".mat":
        rolls = _read_mat(path, part)
    else:
        rolls = _read_json(path, part)
    for number, roll in enumerate(rolls, start=1):
        if len(roll) < 2:
            raise ValueError(f"{path}: piece {number} of {part} has fewer than 2 frames.")
    if not rolls:
        raise ValueError(f"{path} has no piece in its part {part}.")
    return rolls


def read_parts(settings: RollSettings) -> dict[Part, list[np.ndarray]]:
    """The pieces of each part of the data of a run."""
    parts: tuple[Part, ...] = ("train", "valid", "test")
    return {part: read_rolls(settings.data, part, settings.frames_per_beat) for part in parts}


def to_roll(frames: list[Any], where: str) -> np.ndarray:
    """From lists of MIDI numbers."""
    roll = np.zeros([len(frames), KEYS], np.float32)
    for number, notes in enumerate(frames, start=1):
        for note in notes:
            if not isinstance(note, int) or not LOWEST <= note < LOWEST + KEYS:
                raise ValueError(
                    f"{where}, frame {number}: {note!r} is not the MIDI number of a piano key, "
                    f"{LOWEST} to {LOWEST + KEYS - 1}."
                )
            roll[number - 1, note - LOWEST] = 1
    return roll


def _read_json(path: pathlib.Path, part: Part) -> list[np.ndarray]:
    text = read_utf8(path)
    with parsed_as(path, _KINDS):
        pieces = [[list(frame) for frame in piece] for piece in json.loads(text)[part]]
    return [to_roll(piece, f"{path}, {part} {i}") for i, piece in enumerate(pieces, start=1)]


def _read_mat(path: pathlib.Path, part: Part) -> list[np.ndarray]:
    words = [sys.executable, str(_MAT_TO_NPZ), f"{part}data"]
    done = subprocess.run(words, input=read_bytes(path), capture_output=True)
    if done.returncode:
        raise ValueError(f"{path} is not a .mat file of piano rolls.")
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as file:
        pieces = [file[name] for name in file.files]
    for number, piece in enumerate(pieces, start=1):
        if piece.ndim != 2 or piece.shape[1] != KEYS or not np.isin(piece, (0, 1)).all():
            raise ValueError(
                f"{path}: piece {number} of {part} must be frames of {KEYS} keys, each 0 or 1, got "
                f"shape {piece.shape}."
            )
    return [piece.astype(np.float32) for piece in pieces]


def _read_folder(folder: pathlib.Path, frames_per_beat: int) -> list[np.ndarray]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of MIDI files.")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _MIDI)
    return [read_midi(path, frames_per_beat) for path in files]
