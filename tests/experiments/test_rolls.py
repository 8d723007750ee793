"""Piano rolls: files they are read from, MIDI files they become, voices, chords."""

import json
import pathlib
import struct

import jax
import mido
import numpy as np
import pytest
import scipy.io

from experiments.music import midi
from experiments.music.compose.baselines import independent_keys, markov_keys
from experiments.music.compose.config import MusicConfig
from experiments.music.compose.generate import draw_chord
from experiments.music.compose.model import transposed
from experiments.music.config import BUNDLED
from experiments.music.data import read_parts, read_pieces, to_roll
from experiments.music.infill.data import (
    hidden_bars,
    hidden_span,
    hidden_voice,
    is_certain,
    to_voices,
)
from experiments.music.infill.data import to_roll as of_voices
from experiments.music.midi import LOWEST, parse_note, write_midi
from experiments.runner.data.parts import part_of_name
from experiments.runner.data.reading import Reading
from tests.experiments import _small_music
from tests.experiments._small_music import read_midi, read_rolls

MAT = pathlib.Path(__file__).parents[3] / "shared" / "data" / "jsb_chorales" / "JSB_Chorales.mat"


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


def test_json_mat_and_midi_hold_the_same_pieces(tmp_path):
    path = _small_music.write_data(tmp_path)
    arrays = {}
    for part in ("train", "valid", "test"):
        rolls = read_rolls(path, part_of_name(part))
        arrays[f"{part}data"] = np.empty([1, len(rolls)], object)
        (tmp_path / "midi" / part).mkdir(parents=True)
        for number, roll in enumerate(rolls):
            arrays[f"{part}data"][0, number] = roll.astype(np.uint8)
            write_midi(tmp_path / "midi" / part / f"{number}.mid", roll)
    scipy.io.savemat(tmp_path / "small.mat", arrays)
    for other in ("small.mat", "midi"):
        for part in ("train", "dev", "test"):
            both = zip(
                read_rolls(path, part),
                read_rolls(tmp_path / other, part),
                strict=True,
            )
            assert all((one == two).all() for one, two in both)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", "[", "cannot be read as JSON with pieces"),
        ("a.json", '{"test": []}', "has no piece of 2 frames or more in it"),
        ("a.json", '{"test": [[[60]]]}', "has no piece of 2 frames or more in it"),
        ("a.json", '{"train": [[[60], [61]]]}', "has no part test; it has train"),
        ("a.json", '{"best": [[[60], [61]]]}', "has a part 'best', which is none of train, valid"),
        ("a.json", "7", "cannot be read as JSON with pieces"),
        ("a.json", '{"test": [[[60], [61, 300]]]}', "test 1, frame 2: 300 is not the MIDI number"),
        ("a.mat", "no matrix", "is not a .mat file of piano rolls"),
    ],
)
def test_files_without_pieces_are_refused_in_a_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(ValueError) as error:
        read_rolls(path, "test")
    assert sentence in str(error.value) and str(path) in str(error.value)


def test_other_matrices_and_folders_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "wide.mat", {"testdata": _cell(np.zeros([4, 90]))})
    with pytest.raises(ValueError, match="must be frames of 88 keys"):
        read_rolls(tmp_path / "wide.mat", "test")
    scipy.io.savemat(tmp_path / "other.mat", {"x": np.zeros(3)})
    with pytest.raises(ValueError, match=r"is not a \.mat file of piano rolls"):
        read_rolls(tmp_path / "other.mat", "test")
    with pytest.raises(ValueError, match="does not exist"):
        read_rolls(tmp_path / "none.mat", "test")
    with pytest.raises(ValueError, match=r"has no MIDI file \(.mid, .midi\) in it"):
        read_rolls(tmp_path, "test")


def _cell(array):
    cell = np.empty([1, 1], object)
    cell[0, 0] = array
    return cell


@pytest.mark.skipif(not MAT.exists(), reason="the .mat file is not shipped")
def test_bundled_chorales_are_those_of_the_published_file():
    for part, frames in (("train", 13_807), ("dev", 4_602), ("test", 4_725)):
        ours, theirs = read_rolls(BUNDLED, part), read_rolls(MAT, part)
        assert sum(map(len, ours)) == frames
        assert all((one == two).all() for one, two in zip(ours, theirs, strict=True))


def test_counting_gives_the_floors_of_the_metric():
    train, test = (
        read_rolls(BUNDLED, "train"),
        read_rolls(BUNDLED, "test"),
    )
    assert round(independent_keys(train, test), 2) == 11.09
    assert round(markov_keys(train, test), 2) == 10.49


def test_transposed_roll_keeps_its_intervals():
    roll = to_roll([[50, 57], [21, 108]], "here")
    moved = jax.vmap(lambda key: transposed(3, key, roll))(jax.random.split(jax.random.key(0), 60))
    shifts = set()
    for one in np.asarray(moved):
        low, high = np.flatnonzero(one[0]) + LOWEST
        shifts.add(int(low) - 50)
        assert high - low == 7 and one[1].sum() == (2 if low == 50 else 1)
    assert shifts == set(range(-3, 4))


def test_chord_is_drawn_as_often_as_it_is_likely():
    logits = np.array([0.3, -1.0, 1.2, -0.4])
    sets = [[i for i in range(4) if number >> i & 1] for number in range(1, 16)]
    weights = {tuple(s): np.exp(logits[s].sum()) for s in sets if len(s) <= 2}
    total = sum(weights.values())
    draw = jax.jit(jax.vmap(lambda key: draw_chord(logits, 2, key)))
    drawn = np.asarray(draw(jax.random.split(jax.random.key(0), 8000)))
    counts = {chord: 0 for chord in weights}
    for chord in drawn:
        counts[tuple(np.flatnonzero(chord))] += 1
    for chord, weight in weights.items():
        assert abs(counts[chord] / 8000 - weight / total) < 0.02


def test_voices_are_the_notes_of_a_chord_from_the_top():
    frames = [[48, 55, 64, 72], [48, 55, 64], [50, 60], [60], [], [40, 50, 55, 60, 70]]
    roll = to_roll(frames, "here")
    voices = to_voices(roll)
    named = np.where(voices < 0, -1, voices + LOWEST).tolist()
    assert named == [
        [72, 64, 55, 48],
        [64, 55, 55, 48],
        [60, 60, 50, 50],
        [60, 60, 60, 60],
        [-1, -1, -1, -1],
        [70, 60, 50, 40],
    ]
    np.testing.assert_array_equal(of_voices(voices)[:5], roll[:5])
    assert is_certain(roll).tolist() == [True, False, False, False, False, False]


def test_every_note_is_hidden_once():
    once = sum(hidden_voice(11, voice).astype(int) for voice in range(4))
    assert (once == 1).all()
    once = sum(hidden_bars(11, 2, place).astype(int) for place in range(4))
    assert (once == 1).all()
    assert np.flatnonzero(hidden_bars(11, 2, 1).all(axis=1)).tolist() == [2, 3, 10]
    assert np.flatnonzero(hidden_span(11, 3, 4).all(axis=1)).tolist() == [3, 4, 5, 6]


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


def write_loud(path, note=61):
    """A piece, of which a byte is above 127: a velocity, or with `note` 200 a pitch."""
    roll = np.zeros([3, 88], np.float32)
    roll[:, 40] = roll[1, 44] = 1
    write_midi(path, roll)
    content = path.read_bytes()
    path.write_bytes(content.replace(bytes([61, 80]), bytes([note, 200])))
    assert path.read_bytes() != content
    return roll


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


def write_folder(folder, count=20):
    for number in range(count):
        place = folder / f"composer {number % 3}"
        place.mkdir(exist_ok=True, parents=True)
        write_midi(place / f"{number}.MID", random_roll(number))
    return folder


def test_plain_folder_is_split_by_itself_and_that_is_told(tmp_path):
    folder, reading = write_folder(tmp_path / "all"), Reading()
    write_midi(folder / "again.mid", random_roll(7))  # the same piece stays in one part
    parts = read_parts(MusicConfig(data=folder), reading)
    assert [len({roll.tobytes() for roll in part}) for part in parts.values()] == [16, 2, 2]
    kinds = [{roll.tobytes() for roll in part} for part in parts.values()]
    assert len(set.union(*kinds)) == 20
    assert "of its 21 items" in reading.sentences()[0]
    as_json = [[(np.flatnonzero(f) + 21).tolist() for f in random_roll(n)] for n in range(20)]
    (tmp_path / "a.json").write_text(json.dumps(as_json))
    same = read_parts(MusicConfig(data=tmp_path / "a.json"), Reading())
    assert [{roll.tobytes() for roll in part} for part in same.values()] == kinds
    assert len(read_rolls(folder, "test")) == 21  # of a folder given to measure on all is taken


@pytest.mark.parametrize("name", ["valid", "val", "Validation", "dev"])
def test_parts_of_a_folder_go_by_any_of_their_names(tmp_path, name):
    for number, part in enumerate(("train", name, "test")):
        (tmp_path / part).mkdir()
        write_midi(tmp_path / part / "a.mid", random_roll(number))
    write_midi(tmp_path / "b.mid", random_roll(9))
    reading = Reading()
    parts = read_parts(MusicConfig(data=tmp_path), reading)
    for number, part in enumerate(("train", "dev", "test")):
        np.testing.assert_array_equal(parts[part], [random_roll(number)])
    (told,) = reading.sentences()
    assert "b.mid: a MIDI file beside the folders of train, valid and test; left out" in told


def test_part_that_is_missing_is_split_off_training(tmp_path):
    write_folder(tmp_path / "train", 11)
    write_folder(tmp_path / "test", 2)
    parts = read_parts(MusicConfig(data=tmp_path), Reading())
    assert [len(part) for part in parts.values()] == [10, 1, 2]


def test_files_that_cannot_be_read_are_left_out_of_a_folder_and_named(tmp_path):
    write_folder(tmp_path, 3)
    (tmp_path / "text.mid").write_text("no music")
    (tmp_path / "._mac.mid").write_bytes(b"")
    write_messages(tmp_path / "drums.mid", [("note_on", 36, 9, 0, 9), ("note_off", 36, 9, 90, 9)])
    write_midi(tmp_path / "short.mid", random_roll(0, 1))
    write_loud(tmp_path / "loud.mid")
    low = [("note_on", 60, 9, 0, 0), ("note_on", 9, 9, 0, 0), ("note_off", 60, 0, 300, 0)]
    write_messages(tmp_path / "low.mid", low)
    reading = Reading()
    assert len(read_pieces(tmp_path, reading)[None]) == 5
    told = "\n".join(reading.sentences())
    for sentence in (
        "text.mid: a file that cannot be read as a MIDI file",
        "._mac.mid: a file that cannot be read as a MIDI file",
        "drums.mid: a file that has no note of a piano in it; left out",
        "short.mid: a piece of fewer than 2 frames; left out",
        "loud.mid: a MIDI file with bytes above 127; they are read as 127",
        "low.mid: a note that is not on a piano, 21 to 108; left out",
    ):
        assert sentence in told
    assert all(sentence.startswith(f"{tmp_path}, ") for sentence in reading.sentences())
    with pytest.raises(ValueError, match=r"_mac.mid cannot be read as a MIDI file"):
        read_pieces(tmp_path, Reading(strict=True))
