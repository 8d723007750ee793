"""Piano rolls: files they are read from, MIDI files they become, voices, chords."""

import pathlib

import jax
import mido
import numpy as np
import pytest
import scipy.io

from experiments.music.compose.baselines import independent_keys, markov_keys
from experiments.music.compose.generate import draw_chord
from experiments.music.compose.model import transposed
from experiments.music.config import BUNDLED
from experiments.music.data import read_rolls, to_roll
from experiments.music.infill.data import (
    hidden_bars,
    hidden_span,
    hidden_voice,
    is_certain,
    to_voices,
)
from experiments.music.infill.data import to_roll as of_voices
from experiments.music.midi import LOWEST, parse_note, read_midi, write_midi
from tests.experiments import _small_music

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
        ("silent.mid", "has no note in it"),
        ("low.mid", "the note 5 is not on a piano"),
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
        rolls = read_rolls(path, part)
        arrays[f"{part}data"] = np.empty([1, len(rolls)], object)
        (tmp_path / "midi" / part).mkdir(parents=True)
        for number, roll in enumerate(rolls):
            arrays[f"{part}data"][0, number] = roll.astype(np.uint8)
            write_midi(tmp_path / "midi" / part / f"{number}.mid", roll)
    scipy.io.savemat(tmp_path / "small.mat", arrays)
    for other in ("small.mat", "midi"):
        for part in ("train", "valid", "test"):
            both = zip(read_rolls(path, part), read_rolls(tmp_path / other, part), strict=True)
            assert all((one == two).all() for one, two in both)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", "[", "cannot be read as JSON with pieces"),
        ("a.json", '{"train": [[[60]]]}', "cannot be read as JSON with pieces"),
        ("a.json", '{"test": []}', "has no piece in its part test"),
        ("a.json", '{"test": [[[60], [61]], [[60]]]}', "piece 2 of test has fewer than 2 frames"),
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
    with pytest.raises(ValueError, match="is not a folder of MIDI files"):
        read_rolls(tmp_path, "test")


def _cell(array):
    cell = np.empty([1, 1], object)
    cell[0, 0] = array
    return cell


@pytest.mark.skipif(not MAT.exists(), reason="the .mat file is not shipped")
def test_bundled_chorales_are_those_of_the_published_file():
    for part, frames in (("train", 13_807), ("valid", 4_602), ("test", 4_725)):
        ours, theirs = read_rolls(BUNDLED, part), read_rolls(MAT, part)
        assert sum(map(len, ours)) == frames
        assert all((one == two).all() for one, two in zip(ours, theirs, strict=True))


def test_counting_gives_the_floors_of_the_metric():
    train, test = read_rolls(BUNDLED, "train"), read_rolls(BUNDLED, "test")
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


def test_velocity_beyond_its_range_changes_no_note(tmp_path):
    roll = np.zeros([3, 88], np.float32)
    roll[:, 40] = roll[1, 44] = 1
    write_midi(tmp_path / "a.mid", roll)
    content = (tmp_path / "a.mid").read_bytes()
    loud = content.replace(bytes([61, 80]), bytes([61, 200]))
    assert loud != content
    (tmp_path / "a.mid").write_bytes(loud)
    np.testing.assert_array_equal(read_midi(tmp_path / "a.mid"), roll)
