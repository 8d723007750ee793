"""MIDI files: those that rolls become, those of others, and what is no piece."""

import struct

import numpy as np
import pytest

from experiments.music import midi
from experiments.music.midi import LOWEST, parse_note, write_midi
from experiments.runner.data.reading import Reading
from tests.experiments._small_music import (
    random_roll,
    read_midi,
    write_loud,
    write_messages,
)


def test_written_roll_is_read_again(tmp_path):
    roll = random_roll(0)
    write_midi(tmp_path / "a.mid", roll)
    np.testing.assert_array_equal(read_midi(tmp_path / "a.mid"), roll)
    held = np.repeat(roll, 3, axis=0)
    np.testing.assert_array_equal(read_midi(tmp_path / "a.mid", 3), held)
    write_midi(tmp_path / "held.mid", held)
    np.testing.assert_array_equal(read_midi(tmp_path / "held.mid"), held)


def test_tracks_channels_and_drums_of_a_midi_file(tmp_path):
    path = write_messages(
        tmp_path / "two.mid",
        [("note_on", 60, 9, 200, 0), ("note_on", 60, 0, 200, 0), ("note_on", 64, 9, 50, 0)],
        [("note_on", 36, 9, 0, 9), ("note_on", 48, 9, 300, 1), ("note_off", 48, 0, 300, 1)],
    )
    notes = [sorted(np.flatnonzero(frame) + LOWEST) for frame in read_midi(path)]
    assert notes == [[60], [48, 60], [48], [48, 64]]  # beats 2 to 5; 64 is on from 4.5


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.mid", "does not exist"),
        ("text.mid", "cannot be read as a MIDI file"),
        ("cut.mid", "cannot be read as a MIDI file"),
        ("silent.mid", "has no note of a piano in it"),
        ("low.mid", "has no note of a piano in it"),
        ("pieces.mid", "is a MIDI file of type 2, whose tracks are pieces of their own"),
        ("seconds.mid", "counts time in seconds"),
        ("years.mid", "frames long; 1,000,000 are the most"),
    ],
)
def test_unreadable_midi_is_refused_in_a_sentence(tmp_path, name, sentence):
    (tmp_path / "text.mid").write_text("no music")
    note = [("note_on", 5, 9, 0, 0), ("note_off", 5, 0, 90, 0)]
    whole = write_messages(tmp_path / "low.mid", note).read_bytes()
    write_messages(
        tmp_path / "years.mid", [("note_on", 60, 9, 0, 0)] + [("note_on", 61, 9, 2**28 - 1, 0)] * 3
    )
    (tmp_path / "cut.mid").write_bytes(whole[:-4])
    write_messages(tmp_path / "silent.mid", [])
    (tmp_path / "seconds.mid").write_bytes(whole[:12] + b"\xe7\x28" + whole[14:])
    (tmp_path / "pieces.mid").write_bytes(whole[:8] + b"\0\2" + whole[10:])
    with pytest.raises(ValueError) as error:
        read_midi(tmp_path / name)
    assert sentence in str(error.value) and str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize("text", ["", "H4", "C", "C#", "C99", "C-1", "200", "B#x"])
def test_what_is_no_note_is_refused(text):
    with pytest.raises(ValueError, match="is no note of a piano"):
        parse_note(text)


def write_bytes_of_midi(path, kind, tracks, ticks):
    """A file as the standard describes it; `tracks` are lists of (tick, message in bytes)."""
    chunks = [b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), ticks)]
    for track in tracks:
        body, now, status = b"", 0, None
        for tick, message in sorted(track, key=lambda event: event[0]):
            body += _variable(tick - now)
            running = message[0] == status and message[0] < 0xF0
            body += message[1:] if running else message
            now, status = tick, message[0]
        body += b"\0\xff\x2f\0"
        chunks.append(b"MTrk" + struct.pack(">I", len(body)) + body)
    path.write_bytes(b"".join(chunks))
    return path


def _variable(number):
    digits = [number & 127]
    while number := number >> 7:
        digits.append(number & 127 | 128)
    return bytes(reversed(digits))


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(("ticks", "frames_per_beat"), [(96, 1), (480, 4)])
def test_roll_is_that_of_the_notes_whatever_the_tempo_and_the_drums(
    tmp_path, kind, ticks, frames_per_beat
):
    rng = np.random.default_rng(ticks + kind)
    unit = ticks // (4 * frames_per_beat)  # a quarter of a frame
    notes, tracks = [], [[], [], []]
    channels = [(pitch, int(c)) for pitch in range(21, 109, 4) for c in rng.permutation(16)[:2]]
    for pitch, channel in [*channels, (30, 9), (50, 9)]:  # drums among them
        start = int(rng.integers(2, 20))
        for _ in range(int(rng.integers(1, 4))):
            end = start + int(rng.integers(1, 30))
            if channel != 9:
                notes.append((pitch, start, end))
            on, silent = 0x90 | channel, bool(rng.integers(2))
            events = tracks[int(rng.integers(1, 3))]
            events.append((start * unit, bytes([on, pitch, 70])))
            events.append((end * unit, bytes([on if silent else on ^ 0x10, pitch, 0])))
            start = end + int(rng.integers(1, 30))
    for tick in (0, 7 * unit, 40 * unit):
        tempo = int(rng.integers(2 * 10**5, 10**6)).to_bytes(3, "big")
        tracks[0].append((tick, b"\xff\x51\3" + tempo))
    tracks[0].append((3 * unit, b"\xff\x58\4\3\2\x18\x08"))  # three quarters to a bar
    tracks[1].append((5 * unit, b"\xc0\x07"))  # another instrument
    tracks = tracks if kind == 1 else [[event for track in tracks for event in track]]
    path = write_bytes_of_midi(tmp_path / "a.mid", kind, tracks, ticks)

    first = min(start for _, start, _ in notes)
    last = max(end for *_, end in notes)
    expected = np.zeros([-(-(last - first) // 4), 88], bool)
    for frame in range(len(expected)):
        for pitch, start, end in notes:
            expected[frame, pitch - 21] |= start - first <= 4 * frame < end - first
    np.testing.assert_array_equal(read_midi(path, frames_per_beat), expected)


def test_first_note_is_in_the_first_frame_however_late_it_is(tmp_path):
    for late in range(0, 100, 7):
        on, off = ("note_on", 60, 9, late, 0), ("note_off", 60, 0, 100, 0)
        path = write_messages(tmp_path / "a.mid", [on, off, ("note_on", 62, 9, 0, 0)], ticks=100)
        assert read_midi(path)[:, 39].tolist() == [1], late


def test_bytes_above_127_and_notes_beyond_the_piano_are_told(tmp_path):
    path, reading = tmp_path / "a.mid", Reading()
    roll = write_loud(path)
    np.testing.assert_array_equal(midi.read_midi(path, reading), roll)
    assert reading.sentences() == [
        f"{path}: a MIDI file with bytes above 127; they are read as 127."
    ]
    path.write_bytes(path.read_bytes().replace(bytes([65, 80]), bytes([9, 80])))
    roll[1, 44] = 0
    np.testing.assert_array_equal(midi.read_midi(path, reading), roll)
    assert reading.sentences()[1] == f"{path}: a note that is not on a piano, 21 to 108; left out."
    with pytest.raises(ValueError, match="bytes above 127; --strict refuses that"):
        midi.read_midi(path, Reading(strict=True))
    low = [("note_on", 60, 9, 0, 0), ("note_on", 9, 9, 0, 0), ("note_off", 60, 0, 300, 0)]
    with pytest.raises(ValueError, match="not on a piano, 21 to 108; --strict refuses that"):
        midi.read_midi(write_messages(path, low), Reading(strict=True))
