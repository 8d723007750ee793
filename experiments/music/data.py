"""Piano rolls: which of the 88 keys sound in each frame of a piece.

Read from JSON, {"train": pieces, "valid": ..., "test": ...} or a list of pieces, a piece being a
list of frames and a frame a list of MIDI numbers; from .mat files of Boulanger-Lewandowski's data,
with traindata, validdata and testdata; and from folders of MIDI files, which may stand in folders
train, valid and test. What is not in parts is split, always in the same way.
"""

import hashlib
import io
import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.music.config import RollSettings
from experiments.music.midi import KEYS, LOWEST, read_midi
from experiments.runner.data.files import parsed_as, read_bytes
from experiments.runner.data.parts import Part, fill_parts, named_part, part_of_name
from experiments.runner.data.reading import Reading

Piece = tuple[str, np.ndarray]  # what it is called in its file or folder, and its roll
Pieces = dict[Part | None, list[Piece]]  # by part, None where nothing says one
_MIDI = (".mid", ".midi")
_MAT_TO_NPZ = pathlib.Path(__file__).with_name("mat_to_npz.py")
_KINDS = (
    "JSON with pieces for train, valid and test, each a list of lists of MIDI numbers; a .mat file "
    "or a folder of MIDI files can be given, too"
)


def read_parts(settings: RollSettings, reading: Reading) -> dict[Part, list[np.ndarray]]:
    """The pieces of each part of the data of a run, each `[T, 88]`."""
    path = settings.data
    pieces = read_pieces(path, reading, settings.frames_per_beat)
    return fill_parts(path, pieces, key=_digest, reading=reading)


def read_test(path: pathlib.Path | None, settings: RollSettings) -> list[np.ndarray]:
    """The pieces to test a run on, those of a file or a folder if one is given, and tells."""
    reading = settings.reading()
    if path is None:
        rolls = read_parts(settings, reading)["test"]
    else:
        rolls = read_rolls(path, "test", reading, settings.frames_per_beat)
    reading.tell()
    return rolls


def read_rolls(
    path: pathlib.Path, part: Part, reading: Reading, frames_per_beat: int = 1
) -> list[np.ndarray]:
    """The pieces of one part of a file or a folder; all of them where it has no parts."""
    return named_part(path, read_pieces(path, reading, frames_per_beat), part)


def read_pieces(
    path: pathlib.Path, reading: Reading, frames_per_beat: int = 1
) -> dict[Part | None, list[np.ndarray]]:
    """Reads the pieces of each part, each `[T, 88]` float32 of 0 and 1.

    Pieces of fewer than two frames are left out, and so are files of a folder that cannot be read.

    Args:
      path: the file or the folder.
      reading: how to read, and where repairs are reported.
      frames_per_beat: of MIDI files; the others have their frames.

    Raises:
      ValueError: names the file for anything that cannot be read, or if there is no piece.
    """
    if path.is_dir():
        pieces = _read_folder(path, reading, frames_per_beat)
    elif path.suffix.lower() in _MIDI:
        pieces: Pieces = {None: [("the piece", read_midi(path, reading, frames_per_beat))]}
    elif path.suffix == ".mat":
        pieces = _read_mat(path)
    else:
        pieces = _read_json(path, reading)
    rolls: dict[Part | None, list[np.ndarray]] = {}
    for part, found in pieces.items():
        for name, roll in found:
            if len(roll) < 2:
                reading.repaired(path, "a piece of fewer than 2 frames", "left out", name)
            else:
                rolls.setdefault(part, []).append(roll)
    if not rolls:
        raise ValueError(f"{path} has no piece of 2 frames or more in it.")
    return rolls


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


def notes_of(roll: np.ndarray) -> list[list[int]]:
    """The MIDI numbers that sound in each frame of a roll `[T, 88]`."""
    return [(np.flatnonzero(frame) + LOWEST).tolist() for frame in roll]


def _digest(roll: np.ndarray) -> str:
    return hashlib.sha1(roll.tobytes()).hexdigest()


def _in_parts(path: pathlib.Path, named: Mapping[str, Sequence[Piece]]) -> Pieces:
    """Pieces by the part that their name stands for."""
    pieces: Pieces = {}
    for name, found in named.items():
        part = part_of_name(name)
        if part is None:
            raise ValueError(f"{path} has a part {name!r}, which is none of train, valid and test.")
        pieces.setdefault(part, []).extend(found)
    return pieces


def _read_json(path: pathlib.Path, reading: Reading) -> Pieces:
    text = reading.text(path)
    with parsed_as(path, _KINDS):
        content = json.loads(text)
        is_list = isinstance(content, list)
        frames = {
            name: [[list(frame) for frame in piece] for piece in pieces]
            for name, pieces in ({"piece": content} if is_list else dict(content)).items()
        }
    named = {
        name: [
            (f"{name} {number}", to_roll(piece, f"{path}, {name} {number}"))
            for number, piece in enumerate(pieces, start=1)
        ]
        for name, pieces in frames.items()
    }
    return {None: named["piece"]} if is_list else _in_parts(path, named)


def _read_mat(path: pathlib.Path) -> Pieces:
    words = [sys.executable, str(_MAT_TO_NPZ)]
    done = subprocess.run(words, input=read_bytes(path), capture_output=True)
    if done.returncode:
        raise ValueError(f"{path} is not a .mat file of piano rolls.")
    named: dict[str, list[Piece]] = {}
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as file:
        for name in file.files:
            named.setdefault(name.split()[0], []).append((name, file[name]))
    for name, piece in (piece for pieces in named.values() for piece in pieces):
        if piece.ndim != 2 or piece.shape[1] != KEYS or not np.isin(piece, (0, 1)).all():
            raise ValueError(
                f"{path}, {name}: a piece must be frames of {KEYS} keys, each 0 or 1, got shape "
                f"{piece.shape}."
            )
    return _in_parts(
        path,
        {
            name: [(place, piece.astype(np.float32)) for place, piece in pieces]
            for name, pieces in named.items()
        },
    )


def _read_folder(path: pathlib.Path, reading: Reading, frames_per_beat: int) -> Pieces:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _MIDI)
    if not files:
        raise ValueError(f"{path} has no MIDI file ({', '.join(_MIDI)}) in it.")
    places = {file: part_of_name(file.relative_to(path).parts[0]) for file in files}
    if any(places.values()):  # what stands beside the folders of parts is of none
        for file in [file for file in files if places[file] is None]:
            what = "a MIDI file beside the folders of train, valid and test"
            reading.repaired(path, what, "left out", str(file.relative_to(path)))
            del places[file]
    pieces = {}
    for file, part in places.items():
        name = str(file.relative_to(path))
        try:
            roll = read_midi(file, reading, frames_per_beat, folder=path)
        except ValueError as error:
            if reading.strict:
                raise
            reason = str(error).removeprefix(str(file)).strip(" .")
            reading.repaired(path, f"a file that {reason}", "left out", name)
        else:
            pieces.setdefault(part, []).append((name, roll))
    return pieces
