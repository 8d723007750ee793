"""MIDI files to piano rolls and back."""

import io
import pathlib

import mido
import numpy as np

from experiments.runner.data.files import parsed_as, read_bytes
from experiments.runner.data.reading import Reading

KEYS, LOWEST = 88, 21  # of a piano: A0 to C8
_DRUMS = 9  # the channel whose notes are no pitches
_TICKS = 480  # a beat
_LONGEST = 10**6  # frames: what a few bytes say would fill any memory
_VELOCITY = 80
_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_CHANGES = {"#": 1, "b": -1}


def read_midi(
    path: pathlib.Path,
    reading: Reading,
    frames_per_beat: int = 1,
    *,
    folder: pathlib.Path | None = None,
) -> np.ndarray:
    """The keys that sound at each frame, from the first note on.

    Time is counted in beats, whatever the tempo; notes of drums are no pitches. Notes that are not
    on a piano are left out, and bytes above 127 are read as 127; both are reported.

    Args:
      path: a standard MIDI file of type 0 or 1.
      reading: reports what was repaired.
      frames_per_beat: frames of a quarter note. What sounds at the beginning of a frame is in it.
      folder: of many files, in whose name that is reported; the file itself if not given.

    Returns:
      `[T, 88]` float32 of 0 and 1.

    Raises:
      ValueError: names the file, if it cannot be read, or has no note of a piano.
    """
    notes, ticks, is_clipped = _read_notes(path)
    where, place = (path, None) if folder is None else (folder, str(path.relative_to(folder)))
    if is_clipped:
        reading.repaired(where, "a MIDI file with bytes above 127", "they are read as 127", place)
    for pitch, *_ in notes:
        if not LOWEST <= pitch < LOWEST + KEYS:
            what = f"a note that is not on a piano, {LOWEST} to {LOWEST + KEYS - 1}"
            reading.repaired(where, what, "left out", place)
    notes = [note for note in notes if LOWEST <= note[0] < LOWEST + KEYS]
    if not notes:
        raise ValueError(f"{path} has no note of a piano in it.")
    # In frames; a note that is a little late, as played by hand, belongs to the frame all the same.
    frames = np.array([note[1:] for note in notes]) * frames_per_beat / ticks
    starts, ends = (np.round(4 * (frames - frames[:, :1].min())) / 4).T
    if ends.max() > _LONGEST:
        raise ValueError(f"{path} is {ends.max():,.0f} frames long; {_LONGEST:,} are the most.")
    roll = np.zeros([max(1, int(np.ceil(ends.max()))), KEYS], np.float32)
    for (pitch, *_), start, end in zip(notes, starts, ends, strict=True):
        roll[int(np.ceil(start)) : int(np.ceil(end)), pitch - LOWEST] = 1
    return roll


def write_midi(path: pathlib.Path, roll: np.ndarray, *, beats_per_minute: int = 80) -> None:
    """Writes a roll `[T, 88]`, a quarter note a frame; a key that sounds on is held."""
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(beats_per_minute))])
    edges = np.diff(np.pad(roll.astype(int), [(1, 1), (0, 0)]), axis=0)
    waited = 0
    for frame in edges:
        for key in [*np.flatnonzero(frame < 0), *np.flatnonzero(frame > 0)]:
            kind = "note_on" if frame[key] > 0 else "note_off"
            message = mido.Message(kind, note=int(key) + LOWEST, velocity=_VELOCITY, time=waited)
            track.append(message)
            waited = 0
        waited += _TICKS
    file = mido.MidiFile(ticks_per_beat=_TICKS)
    file.tracks.append(track)
    file.save(path)


def parse_note(text: str) -> int:
    """The MIDI number of a note such as C4, F#3, Bb5 or 60; C4 is 60.

    Raises:
      ValueError: if it is none, or not on a piano.

    Example:
      >>> [parse_note(text) for text in ("C4", "F#3", "Bb5", "60")]
      [60, 54, 82, 60]
    """
    number = int(text) if text.isdecimal() else -1
    name, rest = text[:1].upper(), text[1:]
    if name in _NAMES:
        change = _CHANGES.get(rest[:1], 0)
        octave = rest[1:] if change else rest
        if octave.isdecimal():
            number = 12 * (int(octave) + 1) + _NAMES[name] + change
    if not LOWEST <= number < LOWEST + KEYS:
        raise ValueError(f"{text!r} is no note of a piano: write C4, F#3, Bb5 or MIDI numbers.")
    return number


def _read_notes(path: pathlib.Path) -> tuple[list[tuple[int, int, int]], int, bool]:
    """Pitch, start and end in ticks of every note that is no drum, the ticks of a beat, and whether
    there were bytes above 127 that had to be clipped.
    """
    content = read_bytes(path)
    with parsed_as(path, "a MIDI file"):
        file, is_clipped = _parse(content)
        messages = list(mido.merge_tracks(file.tracks))
    if file.type == 2:
        raise ValueError(
            f"{path} is a MIDI file of type 2, whose tracks are pieces of their own; save each of "
            "them as a file of type 0 or 1."
        )
    if not 0 < file.ticks_per_beat < 0x8000:
        raise ValueError(f"{path} counts time in seconds, not in beats; such files are not read.")
    now, sounding, notes = 0, {}, []
    for message in messages:
        now += message.time
        if message.type not in ("note_on", "note_off") or message.channel == _DRUMS:
            continue
        place = message.channel, message.note
        if place in sounding:
            notes.append((message.note, sounding.pop(place), now))
        if message.type == "note_on" and message.velocity > 0:
            sounding[place] = now
    notes += [(place[1], start, now) for place, start in sounding.items()]
    return notes, file.ticks_per_beat, is_clipped


def _parse(content: bytes) -> tuple[mido.MidiFile, bool]:
    try:
        return mido.MidiFile(file=io.BytesIO(content)), False
    except OSError:  # what mido raises for a byte above 127, and for other faults, which stay
        return mido.MidiFile(file=io.BytesIO(content), clip=True), True
