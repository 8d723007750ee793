"""Classification of whole series: .ts files, what options do, and what the commands say."""

import dataclasses
import gzip
import json
import pathlib
import re
import shutil

import numpy as np
import pytest

from experiments.runner.data.reading import Reading
from experiments.runner.run.settings import RunSettings
from experiments.time_series import __main__ as time_series
from experiments.time_series.classify.config import BUNDLED, SeriesConfig
from experiments.time_series.classify.data import (
    Labelled,
    describe,
    hold_out,
    read_data,
    read_series,
)
from experiments.time_series.classify.model import make_training
from experiments.time_series.classify.ts_file import Series, read_ts
from tests.experiments._commands import command, options, standard_input
from tests.experiments._computed import batches_of, program_of

pytestmark = pytest.mark.slow

SHARED = pathlib.Path(__file__).parents[3] / "shared" / "data" / "time_series"
OPTIONS = {
    "dev_every": 3,
    "cell": "elman",
    "layers": 1,
    "hidden_size": 4,
    "series_per_batch": 8,
    "buckets": 1,
    "epochs": 2,
}
DATA_CHANGES = {"dev_every": 2, "series_per_batch": 4, "buckets": 2}
MODEL_CHANGES = {
    "cell": "gru",
    "direction": "bwd",
    "layers": 2,
    "hidden_size": 3,
    "readout": "max",
    "dropout": 0.5,
    "noise": 0.1,
}
HEADER = (
    "# a comment\n@problemName waves\n@univariate false\n@dimensions 2\n@classLabel true up down\n"
)


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    """Twelve series of two dimensions, rising or falling, 4 to 9 steps long."""
    rng = np.random.default_rng(0)
    lines = []
    for number in range(12):
        steps = np.arange(4 + number % 6)
        sign = 1 if number % 2 else -1
        values = np.stack([sign * steps, 3 + 0 * steps]) + 0.1 * rng.normal(size=[2, len(steps)])
        columns = [",".join(f"{value:.3f}" for value in column) for column in values]
        lines.append(":".join([*columns, "up" if sign > 0 else "down"]))
    path = tmp_path_factory.mktemp("series") / "waves.ts"
    path.write_text(HEADER + "@data\n" + "\n".join(lines) + "\n")
    return path


def training_of(waves, **changes):
    config = SeriesConfig(train=waves, test=waves, **{**OPTIONS, **changes})
    train, dev = hold_out(read_series(waves, "train", Reading()), config.dev_every)
    return make_training(config, describe(train), train, dev)


@pytest.fixture(scope="module")
def usual(waves):
    training = training_of(waves, layers=2)
    return batches_of(training), program_of(training)


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(SeriesConfig)}
    settings = {field.name for field in dataclasses.fields(RunSettings)}
    assert names - settings == DATA_CHANGES.keys() | MODEL_CHANGES.keys() | {
        *("train", "test", "encoding", "strict")
    }


@pytest.mark.parametrize(("name", "value"), DATA_CHANGES.items(), ids=DATA_CHANGES.keys())
def test_option_changes_what_is_read(waves, usual, name, value):
    assert batches_of(training_of(waves, **{name: value})) != usual[0]


@pytest.mark.parametrize(("name", "value"), MODEL_CHANGES.items(), ids=MODEL_CHANGES.keys())
def test_option_changes_the_model(waves, usual, name, value):
    changes = {"layers": 1 if name == "layers" else 2, name: value if name != "layers" else 1}
    assert program_of(training_of(waves, **changes)) != usual[1]


def test_same_options_compute_the_same(waves, usual):
    training = training_of(waves, layers=2)
    assert (batches_of(training), program_of(training)) == usual


@pytest.mark.parametrize(
    ("name", "value"), [("dev_every", 1), ("noise", -0.1), ("dropout", 1.0), ("layers", 0)]
)
def test_impossible_settings_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must"):
        SeriesConfig(**{name: value})


def test_held_out_series_are_every_so_manieth_of_each_class():
    series = [Series(np.zeros([1, 1]), label) for label in "aababbbab"]
    train, dev = hold_out(series, 2)
    assert [one.label for one in dev] == ["a", "b", "b", "a"]
    assert len(train) == 5
    with pytest.raises(ValueError, match="No class has 9 series"):
        hold_out(series, 9)


def test_series_are_standardised_by_training_and_keep_their_labels(waves):
    series = read_ts(waves, Reading())
    problem = describe(series)
    assert problem.labels == ["down", "up"]
    steps = np.concatenate([example["values"] for example in problem.encode(series)])
    np.testing.assert_allclose(steps.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(steps.std(axis=0), 1, atol=1e-5)
    strange = [series[0], Series(series[0].values, "left"), series[1]]
    assert problem.indices(strange).tolist() == [0, -1, 1]
    batches = [{"rows": np.array([1, 0, -1])}]
    assert Labelled(batches, problem.indices(strange))[0]["labels"].tolist() == [-1, 0, -1]
    with pytest.raises(ValueError, match=r"trained on series of 2 dimension\(s\), these have 1"):
        problem.encode([Series(np.zeros([3, 1]), "up")])


def test_missing_values_are_straight_lines_or_the_end(tmp_path):
    path = tmp_path / "gaps.ts"
    path.write_text(HEADER + "@data\n1,?,3,NaN:?,5,?,?:up\n1,2:3,4:down\n")
    first, second = read_ts(path, Reading())
    assert first.values.T.tolist() == [[1, 2, 3], [5, 5, 5]]
    assert (second.values.shape, second.label) == ((2, 2), "down")


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("1,2,3:4,5:up", [[1, 2, 3], [4, 5, 5]]),
        ("(0,1),(1,2),(2,3):(0,4),(1,?),(2,6):up", [[1, 2, 3], [4, 5, 6]]),
        ("(0,1),(3,4),(4,9):(0,0),(4,8):up", [[1, 3, 9], [0, 4, 8]]),
        (
            "(2004-01-01 00:00:00,1),(2004-01-01 06:00:00,3):"
            "(2004-01-01,2),(2004-01-01 03:00:00,8),(2004-01-01 06:00:00,2):up",
            [[1, 2, 3], [2, 8, 2]],
        ),
    ],
    ids=["unequal", "regular", "irregular", "dates"],
)
def test_times_and_unequal_dimensions_come_to_regular_steps_and_are_told(tmp_path, line, values):
    path, reading = tmp_path / "a.ts", Reading()
    header = f"%\n% Comments as tsml writes them\n{HEADER}@timeStamps true\n@colour red\n"
    path.write_text(f"{header}@data\n%\n{line}\n")
    (series,) = read_ts(path, reading)
    np.testing.assert_allclose(series.values.T, values)
    told = reading.sentences()
    assert len(told) == 2 and "an unknown line of the header" in told[0]
    assert re.search(r"line 12: a series with (times|dimensions of unequal length)", told[1])


@pytest.mark.parametrize(
    "missing", ["?", "?,NaN", "NaN,?,?,?", "", "(0,?),(1,?)"], ids=lambda text: text or "nothing"
)
def test_dimension_without_values_is_at_the_mean_of_training(tmp_path, missing):
    path, reading = tmp_path / "a.ts", Reading()
    other = "(0,5),(1,7),(3,11)" if "(" in missing else "5,7,9,11"
    whole = "(0,1),(1,2)" if "(" in missing else "1,2"
    path.write_text(f"{HEADER}@data\n{other}:{missing}:up\n{whole}:{whole}:down\n")
    first, second = read_ts(path, reading)
    size = 3 if "(" in missing else 4
    np.testing.assert_allclose(first.values[:, 0], np.linspace(5, 11, size))
    assert first.values.shape == (size, 2) and np.isnan(first.values[:, 1]).all()
    what = "line 7: a series without any value of dimension 2; taken for the mean of training"
    assert any(what in sentence for sentence in reading.sentences())
    assert not any("unequal" in sentence for sentence in reading.sentences())
    problem = describe([first, second])
    assert problem.mean[1] == 1.5 and problem.deviation[1] == 0.5
    firsts, seconds = (example["values"] for example in problem.encode([first, second]))
    assert (firsts[:, 1] == 0).all() and seconds[:, 1].tolist() == [-1, 1]
    with pytest.raises(ValueError, match="--strict refuses"):
        read_ts(path, Reading(strict=True))


def test_dimension_that_no_series_has_is_constant(tmp_path):
    path = tmp_path / "a.ts"
    path.write_text(f"{HEADER}@data\n1,3:?,?:up\n5:?:down\n")
    series = read_ts(path, Reading())
    problem = describe(series)
    assert (problem.mean, problem.deviation[1]) == ([3, 0], 1)
    assert all((one["values"][:, 1] == 0).all() for one in problem.encode(series))
    assert problem.deviation[0] == np.std([1, 3, 5])


def test_series_of_one_class_are_refused(waves, tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.ts"
    path.write_text(
        "\n".join(line for line in waves.read_text().split("\n") if ":down" not in line)
    )
    told = ("classify", "train", *options(**OPTIONS, train=path, test=waves, run=tmp_path / "run"))
    assert command(monkeypatch, time_series, *told) == 1
    assert "The training data have the label 'up' only" in capsys.readouterr().err


def test_labels_that_are_numbers_may_be_written_in_other_ways(tmp_path):
    path = tmp_path / "a.ts"
    path.write_text("@classLabel true 1 2\n@data\n5,6:1.0\n6,7:2\n")
    assert [one.label for one in read_ts(path, Reading())] == ["1", "2"]


def test_own_series_are_never_tested_on_the_bundled_ones(tmp_path):
    path, reading = tmp_path / "own.ts", Reading()
    rows = "".join(f"{i},2:3,4:{'up' if i % 2 else 'down'}\n" for i in range(20))
    path.write_text(f"{HEADER}@data\n{rows}")
    train, test = read_data(path, None, reading)
    assert (len(train), len(test)) == (18, 2)
    firsts = [{float(one.values[0, 0]) for one in part} for part in (train, test)]
    assert len(firsts[0] | firsts[1]) == 20
    assert "of its 20 items 2 for test were split off" in reading.sentences()[0]
    assert [len(part) for part in read_data(BUNDLED, None, reading)] == [270, 370]
    assert SeriesConfig(train=path).files == {"train": path, "test": path}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEADER, "has no line @data"),
        (HEADER + "@data\n", "has no series below its @data"),
        ("@problemName x\n1,2:up\n", "line 2: '1,2:up' where a line of the header"),
        ("@problemName x\n@data\n1:up\n", "line 2: the header has no @classLabel before @data"),
        ("@classLabel true up\n", "line 1: @classLabel must be true and name two classes"),
        ("@dimensions two\n", "line 1: @dimensions must be one number"),
        ("@targetLabel true\n", "line 1: the targets are numbers; classes are needed"),
        (HEADER + "@data\n1,2:3,4:left\n", "line 7: the label 'left' is none of @classLabel"),
        (HEADER + "@data\n1,2:up\n", "line 7: 1 dimension(s) where @dimensions says 2"),
        (HEADER + "@data\nup\n", "line 7: 0 dimension(s) where @dimensions says 2"),
        (HEADER + "@data\n(0,1),(0,2):(0,1):up\n", "line 7: times do not grow"),
        (HEADER + "@data\n(0,1),2:(0,1):up\n", "line 7: '(0,1),2' is not a list of pairs"),
        (HEADER + "@data\n(noon,1):(0,1):up\n", "line 7: 'noon' is no time"),
        (HEADER + "@data\n(0,?):(0,?):up\n", "line 7: the series has no observed value"),
        (HEADER + "@data\n?:?:up\n", "line 7: the series has no observed value"),
        (HEADER + "@data\n:,:up\n", "line 7: ',' is not a list of numbers"),
        (HEADER + "@data\n1,2:3,x:up\n", "line 7: '3,x' is not a list of numbers"),
        (HEADER + "@data\n1,2:3,inf:up\n", "line 7: a value is infinite"),
        (
            HEADER.replace("@dimensions 2\n", "") + "@data\n1:1:up\n1:down\n",
            "line 7: 1 dimension(s) where the series before have 2",
        ),
    ],
)
def test_broken_file_is_refused_in_a_sentence(tmp_path, text, sentence):
    path = tmp_path / "broken.ts"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read_ts(path, Reading())
    assert sentence in str(error.value) and str(path) in str(error.value)


def test_archives_that_are_none_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    arrays = {"x_test": np.zeros([4, 2]), "len_test": np.array([3]), "y_test": np.array([0])}
    np.savez(tmp_path / "short.npz", **arrays)
    for name in ("text.npz", "other.npz", "none.npz", "short.npz"):
        with pytest.raises(ValueError, match=name):
            read_series(tmp_path / name, "test", Reading())


def test_bundled_series_are_those_of_the_archive():
    assert [len(read_series(BUNDLED, part, Reading())) for part in ("train", "test")] == [270, 370]


@pytest.mark.skipif(not SHARED.exists(), reason="the archive's files are not shipped")
def test_files_of_the_archive_are_read():
    test = read_ts(SHARED / "JapaneseVowels_TEST.ts.gz", Reading())
    for ours, theirs in zip(read_series(BUNDLED, "test", Reading()), test, strict=True):
        np.testing.assert_allclose(ours.values, theirs.values, atol=1e-5)
    assert [
        one.values.shape for one in read_ts(SHARED / "BasicMotions_TRAIN.ts.gz", Reading())
    ] == [(100, 6)] * 40
    lengths = {
        len(one.values) for one in read_ts(SHARED / "PickupGestureWiimoteZ_TRAIN.ts.gz", Reading())
    }
    assert len(lengths) > 10


@pytest.fixture(scope="module")
def trained(waves, tmp_path_factory):
    """A run folder whose data has been deleted since."""
    folder = tmp_path_factory.mktemp("trained")
    copy = shutil.copy(waves, folder / "gone.ts")
    words = options(**{**OPTIONS, "train": copy, "test": waves, "epochs": 6, "run": folder / "run"})
    with pytest.MonkeyPatch.context() as patch:
        told = ("classify", "train", *words, "--learning-rate", "0.1")
        assert command(patch, time_series, *told) == 0
    (folder / "gone.ts").unlink()
    return folder / "run"


def test_test_of_other_dimensions_is_refused_before_training(waves, tmp_path, monkeypatch, capsys):
    (tmp_path / "one.ts").write_text(
        HEADER.replace("@dimensions 2", "@dimensions 1") + "@data\n1,2:up\n"
    )
    words = {**OPTIONS, "train": waves, "test": tmp_path / "one.ts", "run": tmp_path / "run"}
    told = ("classify", "train", *options(**words))
    assert command(monkeypatch, time_series, *told) == 1
    assert "these have 1" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_training_leaves_numbers_and_pictures(trained):
    assert {"result.json", "curves.png", "confusion.png", "problem.json"} <= {
        path.name for path in trained.iterdir()
    }


def test_predict_names_the_class_of_each_series(trained, waves, tmp_path, monkeypatch, capsys):
    other = tmp_path / "other.ts"
    other.write_text(
        "\n".join(line for line in waves.read_text().splitlines()[::-1] if ":" in line)
    )
    told = ("classify", "predict", "--run", trained)
    assert command(monkeypatch, time_series, *told, waves, other) == 0
    named = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    labels = [one.label for one in read_ts(waves, Reading())]
    assert named == labels + labels[::-1] != labels[::-1] + labels
    assert command(monkeypatch, time_series, *told) == 1
    assert "No file of series was given." in capsys.readouterr().err


@pytest.mark.parametrize("words", [("predict",), ("evaluate", "--test")], ids=lambda w: w[0])
def test_series_are_read_in_their_encoding(trained, waves, tmp_path, monkeypatch, capsys, words):
    path = tmp_path / "new.ts"
    path.write_text(waves.read_text(), encoding="utf-16-le")
    for file, *encoding in ((waves,), (path, "--encoding", "utf-16-le")):
        told = ("classify", *words, file, "--run", trained, *encoding)
        assert command(monkeypatch, time_series, *told) == 0
    out = capsys.readouterr().out
    assert len(out) > 99 and out[: len(out) // 2] == out[len(out) // 2 :]
    assert command(monkeypatch, time_series, "classify", *words, path, "--run", trained) == 1


@pytest.mark.parametrize("labels", ["none", "unknown", "no header", "npz", "-"])
def test_predict_needs_no_labels(trained, waves, tmp_path, monkeypatch, capsys, labels):
    told = ("classify", "predict", "--run", trained, "--json")
    assert command(monkeypatch, time_series, *told, waves) == 0
    want = capsys.readouterr().out
    series = [line.rpartition(":") for line in waves.read_text().splitlines() if ":" in line]
    head = "@problemName waves\n@classLabel false\n@data\n"
    path, ends = tmp_path / "new.ts", {"unknown": ":?"}.get(labels, "")
    rows = "\n".join(values + ends for values, _, _ in series)
    path.write_text(("" if labels == "no header" else head) + rows)
    if labels == "npz":
        values = [example.values for example in read_ts(waves, Reading())]
        path = tmp_path / "new.npz"
        np.savez(path, x=np.concatenate(values), len=[*map(len, values)])
    if labels == "-":
        standard_input(monkeypatch, path.read_bytes())
        path = "-"
    assert command(monkeypatch, time_series, *told, path) == 0
    records = [[*map(json.loads, text.splitlines())] for text in (capsys.readouterr().out, want)]
    assert [record["label"] for record in records[0]] == [label for _, _, label in series]
    for record, same in zip(*records, strict=True):
        assert record["probability"] == max(record["probabilities"].values())
        assert record["probabilities"] == pytest.approx(same["probabilities"], abs=1e-5)
        assert sum(record["probabilities"].values()) == pytest.approx(1)


def test_predict_refuses_series_of_other_dimensions(trained, tmp_path, monkeypatch, capsys):
    (tmp_path / "new.ts").write_text("1,2:3,4\n1,2:3,4:5,6:up\n")
    told = ("classify", "predict", tmp_path / "new.ts", "--run", trained)
    assert command(monkeypatch, time_series, *told) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "line 2: 4 dimension(s), but the model was trained on series of 2." in said


def test_evaluate_measures_another_file_and_tells_unknown_classes(
    trained, waves, tmp_path, monkeypatch, capsys
):
    text = waves.read_text().replace("true up down", "true up down left")
    text = text.replace(":up", ":left", 2)
    path = tmp_path / "new.ts.gz"
    path.write_bytes(gzip.compress(text.encode()))
    told = ("classify", "evaluate", "--run", trained, "--test", path)
    assert command(monkeypatch, time_series, *told) == 0
    out = capsys.readouterr().out
    assert "Training has no class left: those series count as wrong." in out
    assert "83.33%" in out and "12 series" in out
