"""Commands of music: what they print, write, draw and refuse."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from experiments.music import __main__ as music
from experiments.music.compose import model as causal_model
from experiments.music.infill import model as infill
from experiments.music.midi import KEYS, LOWEST, write_midi
from experiments.runner.pictures.style import BLUE, GREY, VERMILION
from experiments.runner.run.folder import RunFolder
from tests import _figures
from tests.experiments import _small_music
from tests.experiments._commands import command, options, standard_input
from tests.experiments._small_music import read_midi, read_rolls
from tests.experiments._trainings import grown_from, started_training

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return _small_music.write_data(tmp_path_factory.mktemp("data"))


def run(monkeypatch, *words):
    return command(monkeypatch, music, *words)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Run folders of both tasks, whose data has been deleted since."""
    folder = tmp_path_factory.mktemp("trained")
    copy = shutil.copy(data, folder / "gone.json")
    with pytest.MonkeyPatch.context() as patch:
        for task in ("compose", "infill"):
            words = options(**_small_music.OPTIONS, data=copy, run=folder / task)
            assert run(patch, task, "train", *words) == 0
    (folder / "gone.json").unlink()
    return folder


def test_training_leaves_numbers_pictures_and_a_piece(trained):
    left = {path.name for path in (trained / "compose").iterdir()}
    assert {"result.json", "curves.png", "sample.mid", "sample.png"} <= left
    assert len(read_midi(trained / "compose" / "sample.mid")) == 65
    assert {"result.json", "curves.png"} <= {path.name for path in (trained / "infill").iterdir()}


def test_evaluate_measures_other_pieces(trained, data, monkeypatch, capsys):
    folder = trained / "compose"
    assert run(monkeypatch, "compose", "evaluate", "--run", folder, "--data", data) == 0
    assert "3 pieces, 18 frames after the first: " in capsys.readouterr().out
    assert run(monkeypatch, "compose", "evaluate", "--run", folder) == 1
    assert "gone.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "load"),
    [("compose", causal_model.load_composer), ("infill", infill.load_infiller)],
)
def test_training_from_a_run_begins_with_its_parameters(
    trained, data, tmp_path, monkeypatch, task, load
):
    words = ("train", "--from", trained / task, "--data", data, "--run", tmp_path / "run")
    training = started_training(monkeypatch, music, task, *words)
    assert grown_from(training, load(RunFolder.open(trained / task)).params) == set()


def _sounding(axes, color):
    """The notes `[T, 88]` that are drawn in a colour."""
    (picture,) = _figures.images(axes)
    lowest = axes.images[0].get_extent()[2] + 0.5 - LOWEST
    notes = np.zeros([picture.shape[1], KEYS], bool)
    rows = slice(int(lowest), int(lowest) + len(picture))
    notes[:, rows] = (picture == to_rgba(color)).all(axis=-1).T
    return notes


def test_generate_writes_a_piece_from_a_chord(trained, tmp_path, monkeypatch, capsys):
    midi, picture = tmp_path / "new.mid", tmp_path / "new.png"
    words = ("compose", "generate", midi, "--run", trained / "compose", "--frames", "6")
    assert run(monkeypatch, *words, "--chord", "D3 A3 F#4", "--picture", picture) == 0
    roll = read_midi(midi)
    assert np.flatnonzero(roll[0]).tolist() == [50 - LOWEST, 57 - LOWEST, 66 - LOWEST]
    assert len(roll) == 7
    words = (*words[:2], tmp_path / "again.mid", *words[3:], "--chord", "D3 A3 F#4")
    capsys.readouterr()
    assert run(monkeypatch, *words, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["given"] == 1 and record["file"] == str(words[2])
    assert record["frames"] == [(np.flatnonzero(frame) + LOWEST).tolist() for frame in roll]
    (notes,) = _figures.drawn(picture).axes
    given, made = (_sounding(notes, color) for color in (GREY, BLUE))
    np.testing.assert_array_equal(given | made, roll > 0)
    assert not given[1:].any() and not made[0].any()
    assert run(monkeypatch, *words) == 1
    assert "exists already" in capsys.readouterr().err
    words = ("compose", "generate", tmp_path / "other.mid", "--run", trained / "compose")
    assert run(monkeypatch, *words, "--chord", " ") == 1
    assert "The chord is empty" in capsys.readouterr().err


def test_chords_of_a_file_are_continued_together_as_each_alone(
    trained, tmp_path, monkeypatch, capsys
):
    chords = ["D3 A3 F#4", "60", "C4 E4 G4 C5"]
    path, folder = tmp_path / "chords.txt", tmp_path / "pieces"
    path.write_text("\n".join(chords))
    words = ("compose", "generate", "--run", trained / "compose", "--frames", "6", "--json")
    assert run(monkeypatch, *words, folder, "--file", path) == 0
    together = [*map(json.loads, capsys.readouterr().out.splitlines())]
    for number, (chord, record) in enumerate(zip(chords, together, strict=True), start=1):
        assert run(monkeypatch, *words, tmp_path / f"{number}.mid", "--chord", chord) == 0
        alone = json.loads(capsys.readouterr().out)
        assert record == alone | {"file": str(folder / f"{number}.mid")}
        roll = read_midi(folder / f"{number}.mid")
        assert record["frames"] == [(np.flatnonzero(frame) + LOWEST).tolist() for frame in roll]
    path.write_text("C4\nH9\n")
    assert run(monkeypatch, *words, tmp_path / "other", "--file", path) == 1
    assert f"{path}, line 2: " in capsys.readouterr().err
    assert run(monkeypatch, *words, tmp_path / "o", "--file", path, "--beginning", folder) == 1
    assert "--file or MIDI files with --beginning" in capsys.readouterr().err


def test_midi_files_of_any_lengths_are_continued_as_each_alone(
    trained, data, tmp_path, monkeypatch, capsys
):
    rolls = [
        roll[:length] for roll, length in zip(read_rolls(data, "test"), (3, 2, 3), strict=True)
    ]
    paths = [tmp_path / f"{name}.mid" for name in "cab"]
    for path, roll in zip(paths, rolls, strict=True):
        write_midi(path, roll)
    words = ("compose", "generate", "--run", trained / "compose", "--frames", "6", "--json")
    assert run(monkeypatch, *words, tmp_path / "pieces", "--beginning", *paths) == 0
    together = [*map(json.loads, capsys.readouterr().out.splitlines())]
    for number, (path, roll) in enumerate(zip(paths[:2], rolls[:2], strict=True), start=1):
        assert run(monkeypatch, *words, tmp_path / "one.mid", "--beginning", path) == 0
        alone = json.loads(capsys.readouterr().out)
        assert alone["given"] == len(roll)
        made = tmp_path / "pieces" / f"{number}.mid"
        assert together[number - 1] == alone | {"file": str(made)}
        np.testing.assert_array_equal(read_midi(made), read_midi(tmp_path / "one.mid"))
        np.testing.assert_array_equal(read_midi(made)[: len(roll)], roll)
        (tmp_path / "one.mid").unlink()
    picture = ("--picture", tmp_path / "x.png")
    assert run(monkeypatch, *words, tmp_path / "o", "--beginning", *paths, *picture) == 1
    assert "--picture draws one piece" in capsys.readouterr().err


def test_fill_hides_a_bar_of_a_midi_file(trained, data, tmp_path, monkeypatch, capsys):
    piece, midi, picture = (tmp_path / name for name in ("piece.mid", "new.mid", "new.png"))
    roll = read_rolls(data, "test")[0]
    write_midi(piece, roll)
    words = ("infill", "fill", "--run", trained / "infill", "--piece", piece)
    assert run(monkeypatch, *words, "--bar", 2, "--midi", midi, "--picture", picture) == 0
    assert "of 8 notes" in capsys.readouterr().out  # two frames are left for the second bar
    np.testing.assert_array_equal(read_midi(midi)[:4], roll[:4])
    before, after = _figures.drawn(picture).axes
    np.testing.assert_array_equal(_sounding(before, GREY) | _sounding(before, BLUE), roll > 0)
    found = sum(_sounding(after, color) for color in (GREY, BLUE, VERMILION))
    np.testing.assert_array_equal(found > 0, read_midi(midi) > 0)
    assert _sounding(before, BLUE)[4:].any() and not _sounding(before, BLUE)[:4].any()
    assert run(monkeypatch, *words, "--bar", 3) == 1
    assert f"The piece {piece} has the bars 1 to 2, got 3." in capsys.readouterr().err
    assert run(monkeypatch, *words, "--voice", "bass") == 0
    assert "of 6 notes" in capsys.readouterr().out
    assert run(monkeypatch, *words, "--bar", 2, "--json") == 0
    record = json.loads(capsys.readouterr().out)
    frames = [(np.flatnonzero(frame) + LOWEST).tolist() for frame in read_midi(midi)]
    assert (record["hidden"], record["frames"]) == (8, frames) and 0 <= record["as_it_was"] <= 1


def test_fill_takes_several_pieces_and_answers_as_for_each_alone(
    trained, data, tmp_path, monkeypatch, capsys
):
    pieces = [tmp_path / "one.mid", tmp_path / "other.mid"]
    for path, roll in zip(pieces, read_rolls(data, "test")[:2], strict=True):
        write_midi(path, roll)
    words = ("infill", "fill", "--run", trained / "infill", "--bar", 1, "--json")
    alone = ""
    for path in pieces:
        assert run(monkeypatch, *words, "--piece", path, "--midi", f"{path}.new") == 0
        alone += capsys.readouterr().out
    folder = tmp_path / "filled"
    assert run(monkeypatch, *words, "--piece", *pieces, "--midi", folder) == 0
    assert capsys.readouterr().out == alone
    assert [json.loads(line)["piece"] for line in alone.splitlines()] == [*map(str, pieces)]
    for number, path in enumerate(pieces, start=1):
        made = (folder / f"{number}.mid").read_bytes()
        assert made == pathlib.Path(f"{path}.new").read_bytes()
    standard_input(monkeypatch, f"{pieces[0]}\n{pieces[1]}\n".encode())
    assert run(monkeypatch, *words, "--file", "-") == 0
    assert capsys.readouterr().out == alone
    assert run(monkeypatch, *words, "--piece", *pieces, "--picture", tmp_path / "x.png") == 1
    assert "--picture draws one piece, got 2." in capsys.readouterr().err
    missing = shutil.copy(data, trained / "gone.json")
    try:
        assert run(monkeypatch, *words, "--piece", pieces[0], 4) == 1
        assert "Piece 2: the test part has the pieces 1 to 3, got 4." in capsys.readouterr().err
        assert run(monkeypatch, *words, "--piece", 2) == 0
        other = json.loads(capsys.readouterr().out)
        assert other | {"piece": str(pieces[1])} == json.loads(alone.splitlines()[1])
    finally:
        pathlib.Path(missing).unlink()
