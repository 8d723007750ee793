"""Models of music: what they see, what their loss is, what options do, what the commands say."""

import dataclasses
import functools
import json
import pathlib
import shutil

import jax
import numpy as np
import pytest
from matplotlib.colors import to_rgba

from experiments.music import __main__ as music
from experiments.music.compose import model as causal_model
from experiments.music.compose import model as causal_training
from experiments.music.compose.config import MusicConfig
from experiments.music.compose.generate import compose
from experiments.music.config import BUNDLED
from experiments.music.infill import data as infill_data
from experiments.music.infill import model as infill
from experiments.music.infill import model as infill_training
from experiments.music.infill.config import InfillConfig
from experiments.music.infill.data import hidden_span, hidden_voice, to_voices
from experiments.music.infill.model import TrainedInfiller
from experiments.music.midi import KEYS, LOWEST, write_midi
from experiments.runner.pictures.style import BLUE, GREY, VERMILION
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.settings import RunSettings
from tests import _figures
from tests.experiments import _small_music
from tests.experiments._commands import command, options, standard_input
from tests.experiments._computed import batches_of, program_of
from tests.experiments._small_music import read_midi, read_rolls
from tests.experiments._trainings import grown_from, started_training

pytestmark = pytest.mark.slow

DATA_CHANGES = {"frames_per_batch": 20, "buckets": 2}
MODEL_CHANGES = {"cell": "gru", "layers": 2, "hidden_size": 3, "dropout": 0.4, "transpose": 1}
SHARED = {field.name for field in dataclasses.fields(RunSettings)}
scores = jax.jit(causal_model.score, static_argnames="model")
infill_scores = jax.jit(infill.score, static_argnames="model")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return _small_music.write_data(tmp_path_factory.mktemp("data"))


def training_of(data, kind, **changes):
    config_of, module = {
        "compose": (MusicConfig, causal_training),
        "infill": (InfillConfig, infill_training),
    }[kind]
    config = config_of(data=data, **{**_small_music.OPTIONS, **changes})
    return module.make_training(config, read_rolls(data, "train"), read_rolls(data, "dev"))


@pytest.fixture(scope="module")
def usual(data):
    trainings = {kind: training_of(data, kind) for kind in ("compose", "infill")}
    return {kind: (batches_of(one), program_of(one)) for kind, one in trainings.items()}


def test_every_option_is_tested():
    shared = (
        DATA_CHANGES.keys()
        | MODEL_CHANGES.keys()
        | {"data", "frames_per_beat", "encoding", "strict"}
    )
    names = {field.name for field in dataclasses.fields(MusicConfig)}
    assert names - SHARED == shared | {"input_dropout"}
    names = {field.name for field in dataclasses.fields(InfillConfig)}
    assert names - SHARED == shared | {"direction", "bar"}


@pytest.mark.parametrize("kind", ["compose", "infill"])
@pytest.mark.parametrize(("name", "value"), DATA_CHANGES.items(), ids=DATA_CHANGES.keys())
def test_option_changes_what_is_read(data, usual, kind, name, value):
    assert batches_of(training_of(data, kind, **{name: value})) != usual[kind][0]


@pytest.mark.parametrize("kind", ["compose", "infill"])
@pytest.mark.parametrize(("name", "value"), MODEL_CHANGES.items(), ids=MODEL_CHANGES.keys())
def test_option_changes_the_model(data, usual, kind, name, value):
    assert program_of(training_of(data, kind, **{name: value})) != usual[kind][1]


def test_dropout_of_what_is_read_changes_the_model(data, usual):
    other = training_of(data, "compose", input_dropout=0.4)
    assert program_of(other) != usual["compose"][1]


def test_options_of_infilling_change_it(data, usual):
    backwards = training_of(data, "infill", direction="bwd")
    assert program_of(backwards) != usual["infill"][1]
    assert batches_of(training_of(data, "infill", bar=2)) != usual["infill"][0]


@pytest.mark.parametrize("kind", ["compose", "infill"])
def test_same_options_compute_the_same(data, usual, kind):
    training = training_of(data, kind)
    assert (batches_of(training), program_of(training)) == usual[kind]


def test_midi_has_more_frames_a_beat_if_asked(tmp_path):
    for part in ("train", "valid", "test"):
        (tmp_path / part).mkdir()
        write_midi(tmp_path / part / "a.mid", read_rolls(BUNDLED, "test")[0][:4])
    sizes = [len(read_rolls(tmp_path, "test", number)[0]) for number in (1, 3)]
    assert sizes == [4, 12]
    start = functools.partial(RunFolder.start, tmp_path / "run", experiment="e", settings={})
    assert start(data={"data": tmp_path / "test"}).path == tmp_path / "run"
    start(data={"data": tmp_path / "train"})  # the same files
    write_midi(tmp_path / "train" / "b.mid", read_rolls(BUNDLED, "test")[0][:4])
    with pytest.raises(ValueError, match="holds a run with content of --data"):
        start(data={"data": tmp_path / "train"})


@pytest.mark.parametrize(
    ("config", "name", "value"),
    [
        (MusicConfig, "transpose", -1),
        (MusicConfig, "dropout", 1.0),
        (MusicConfig, "frames_per_batch", 0),
        (InfillConfig, "bar", 0),
    ],
)
def test_impossible_settings_are_refused_by_name(config, name, value):
    with pytest.raises(ValueError, match=f"{name} must"):
        config(**{name: value})


@pytest.fixture(scope="module")
def composer():
    config = MusicConfig(**{**_small_music.OPTIONS, "layers": 2})
    params = jax.jit(lambda key: causal_training.init_params(config, key))(jax.random.key(0))
    return config.model, params._replace(w=9 * params.w)  # of firm opinions


def test_loss_is_the_sum_over_keys_given_the_frames_before(composer):
    model, params = composer
    rolls = np.stack([roll[:6] for roll in read_rolls(BUNDLED, "test")[:2]])
    lengths = np.array([6, 4])
    _, logits = scores(model, params, rolls)
    shares = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    nats = 0.0
    for row, length in enumerate(lengths):
        for frame in range(1, length):
            p, truth = shares[row, frame - 1], rolls[row, frame]
            nats -= (truth * np.log(p) + (1 - truth) * np.log(1 - p)).sum()
    batch = {"roll": rolls, "lengths": lengths, "rows": np.arange(2)}
    total = jax.jit(causal_model.make_loss(model))(params, batch, None)["loss"]
    assert total.count == 5 + 3
    np.testing.assert_allclose(total.sum, nats, rtol=1e-5)


def test_frame_is_expected_from_those_before_it_only(composer):
    model, params = composer
    roll = read_rolls(BUNDLED, "test")[0][None, :8]
    changed = roll.copy()
    changed[:, 5] = 1 - changed[:, 5]
    differ = np.asarray(scores(model, params, roll)[1] != scores(model, params, changed)[1])
    assert not differ[:, :5].any() and differ[:, 5:].any(axis=(0, 2)).all()


def test_composed_piece_begins_as_given_and_keeps_its_voices(composer):
    model, params = composer
    beginning = read_rolls(BUNDLED, "test")[0][:2]
    wishes = {"frames": 9, "voices": 3, "temperature": 1.0}
    piece = compose(model, params, beginning, **wishes, seed=1)
    np.testing.assert_array_equal(piece[:2], beginning)
    assert len(piece) == 11 and set(piece[2:].sum(axis=1)) <= {1, 2, 3}
    np.testing.assert_array_equal(compose(model, params, beginning, **wishes, seed=1), piece)
    assert (compose(model, params, beginning, **wishes, seed=2) != piece).any()
    several = np.stack([roll[:2] for roll in read_rolls(BUNDLED, "test")[:3]])
    alone = [compose(model, params, each, **wishes, seed=1) for each in several]
    np.testing.assert_array_equal(compose(model, params, several, **wishes, seed=1), alone)
    # The likeliest chords follow from all that stands before them, wherever the beginning ends.
    likeliest = wishes | {"temperature": 1e-4}
    whole = compose(model, params, beginning, **likeliest, seed=1)
    again = compose(model, params, whole[:5], **(likeliest | {"frames": 6}), seed=2)
    np.testing.assert_array_equal(again, whole)


@pytest.mark.parametrize("name", ["frames", "voices", "temperature"])
def test_numbers_that_make_no_piece_are_refused(composer, name):
    wishes = {"frames": 2, "voices": 3, "temperature": 1.0, name: 0}
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        compose(*composer, np.zeros([1, 88]), **wishes, seed=0)


@pytest.fixture(scope="module", params=["both", "fwd"])
def infiller(request):
    config = InfillConfig(**_small_music.OPTIONS, direction=request.param)
    params = jax.jit(lambda key: infill_training.init_params(config, key))(jax.random.key(0))
    return TrainedInfiller(config, params._replace(w=200 * params.w))  # of firm opinions


def test_what_is_hidden_is_not_read(infiller):
    model, params = infiller.config.model, infiller.params
    voices = to_voices(read_rolls(BUNDLED, "test")[0][:8])[None]
    hidden = hidden_span(8, 3, 2)[None]
    lengths = np.array([8])
    changed = np.where(hidden, voices + 1, voices)
    same = [infill_scores(model, params, one, hidden, lengths) for one in (voices, changed)]
    np.testing.assert_array_equal(*same)
    later = voices.copy()
    later[:, 6] += 1
    found = np.asarray(infill_scores(model, params, later, hidden, lengths) != same[0])
    assert found[:, :6].any() == (infiller.config.direction == "both")
    assert found[:, 6:].any()


def test_notes_count_in_chords_of_four_and_where_hidden(infiller, data):
    rolls = read_rolls(data, "test")
    (example,) = infill_data.examples_of(rolls[:1], [hidden_voice(len(rolls[0]), 1)])
    batch = {name: array[None] for name, array in example.items()}
    batch |= {"lengths": np.array([len(rolls[0])]), "rows": np.array([0])}
    loss_fn = jax.jit(infill.make_loss(infiller.config.model))
    assert loss_fn(infiller.params, batch, None)["loss"].count == len(rolls[0]) - 1
    shorter = batch | {"lengths": np.array([2])}  # the chord of three is the third
    assert loss_fn(infiller.params, shorter, None)["accuracy"].count == 2


def test_only_what_is_hidden_is_filled_in(infiller):
    voices = to_voices(read_rolls(BUNDLED, "test")[0][:8])
    hidden = hidden_voice(8, 2)
    filled = infiller.fill(voices, hidden)
    np.testing.assert_array_equal(filled[~hidden], voices[~hidden])
    blank = np.where(hidden, 0, voices)
    np.testing.assert_array_equal(infiller.fill(blank, hidden), filled)


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
