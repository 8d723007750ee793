"""Piano rolls: files and folders of pieces, chords, voices, what is hidden."""

import json
import pathlib

import jax
import numpy as np
import pytest
import scipy.io

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
from experiments.music.midi import LOWEST, write_midi
from experiments.runner.data.parts import part_of_name
from experiments.runner.data.reading import Reading
from tests.experiments import _small_music
from tests.experiments._small_music import (
    random_roll,
    read_rolls,
    write_loud,
    write_messages,
)

MAT = pathlib.Path(__file__).parents[3] / "shared" / "data" / "jsb_chorales" / "JSB_Chorales.mat"


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
