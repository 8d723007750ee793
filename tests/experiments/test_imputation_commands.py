"""Filling in missing values: the commands, from a training on a few rows to a filled table."""

import json
import re

import numpy as np
import pytest

from experiments.runner.data.reading import Reading
from experiments.runner.run.folder import RunFolder
from experiments.time_series import __main__ as time_series
from experiments.time_series.impute import commands as impute_commands
from experiments.time_series.impute.table import read_table
from tests import _figures
from tests.experiments._commands import command, options, standard_input
from tests.experiments._small_table import OPTIONS, write_table

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("table") / "waves.csv")


@pytest.fixture(scope="module")
def trained(table, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        words = options(**{**OPTIONS, "table": table, "run": run})
        told = ("impute", "train", *words)
        assert command(patch, time_series, *told) == 0
    return run


def test_training_leaves_numbers_and_pictures(trained):
    names = {path.name for path in trained.iterdir()}
    assert {"result.json", "curves.png", "points.png", "gaps.png", "features.json"} <= names
    assert RunFolder.open(trained).settings["task"] == "impute"


def test_evaluate_draws_errors_by_gap(trained, tmp_path, monkeypatch, capsys):
    picture = tmp_path / "gaps.png"
    told = ("impute", "evaluate", "--run", trained, trained, "--picture", picture)
    assert command(monkeypatch, time_series, *told) == 0
    out = capsys.readouterr().out
    assert out.count("straight lines") == 3 and "direction both" in out
    (axes,) = _figures.drawn(picture).axes
    drawn = _figures.named(axes)
    assert len(drawn) == 1 + 3 and "direction both" in drawn
    rows = [line for line in out.partition("by steps of a gap")[2].splitlines() if "0." in line]
    assert len(rows) == len(drawn)
    for name, (points,) in drawn.items():
        assert points[:, 0].tolist() == [1, 2, 4]
        (row,) = (line for line in rows if name in line)
        assert re.findall(r"\d\.\d{3}", row) == [f"{error:.3f}" for error in points[:, 1]]


def test_predict_fills_gaps_and_keeps_what_is_there(trained, table, tmp_path, monkeypatch, capsys):
    out, picture = tmp_path / "filled.csv", tmp_path / "filled.png"
    told = ("impute", "predict", table, "--run", trained, "--out", out, "--picture", picture)
    assert command(monkeypatch, time_series, *told) == 0
    assert "2 of 180 values were filled in" in capsys.readouterr().out
    before, after = read_table(table, Reading()), read_table(out, Reading())
    there = ~np.isnan(before.values)
    assert not np.isnan(after.values).any() and picture.exists()
    np.testing.assert_array_equal(after.values[there], before.values[there])
    assert command(monkeypatch, time_series, *told) == 1
    assert "exists already" in capsys.readouterr().err


def test_table_is_read_in_its_encoding(trained, table, tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text(table.read_text(), encoding="utf-16-le")
    outs = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv")]
    encoding = ("--encoding", "utf-16-le")
    for file, out, *words in ((table, outs[0]), (path, outs[1], *encoding), (path, outs[2])):
        told = ("impute", "predict", file, "--run", trained, "--out", out, *words)
        assert command(monkeypatch, time_series, *told) == (out == outs[2])
    assert outs[0].read_text() == outs[1].read_text() and not outs[2].exists()


def test_predict_prints_the_whole_table_as_text_and_as_json(
    trained, table, tmp_path, monkeypatch, capsys
):
    told, out = ("impute", "predict", "--run", trained), tmp_path / "filled.csv"
    assert command(monkeypatch, time_series, *told, table, "--out", out) == 0
    capsys.readouterr()
    monkeypatch.setattr(impute_commands, "_WINDOWS", 3)  # several parts of the table
    assert command(monkeypatch, time_series, *told, table) == 0
    printed = capsys.readouterr().out
    before, after = table.read_text().splitlines(), printed.splitlines()
    assert printed == out.read_text() and len(before) == len(after)
    changed = [
        number for number, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]
    ]
    assert changed == [8, 41]
    standard_input(monkeypatch, table.read_bytes())
    assert command(monkeypatch, time_series, *told, "-", "--json") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [k for k, record in enumerate(records) if record["filled"]] == [7, 40]
    assert (records[7]["filled"], records[40]["filled"]) == (["a"], ["b"])
    for record, line in zip(records, after[1:], strict=True):
        time, *values = line.split(",")
        assert record["time"] == time
        assert [*record["values"].values()] == pytest.approx([*map(float, values)], rel=1e-4)


def test_predict_refuses_other_columns(trained, tmp_path, monkeypatch, capsys):
    (tmp_path / "other.csv").write_text("time,a,c\nt1,1,2\n")
    told = ("impute", "predict", tmp_path / "other.csv", "--run", trained)
    status = command(monkeypatch, time_series, *told, "--out", tmp_path / "new")
    assert status == 1 and "the table has a, c" in capsys.readouterr().err


def test_run_of_another_task_is_refused(trained, monkeypatch, capsys):
    told = ("classify", "evaluate", "--run", trained)
    assert command(monkeypatch, time_series, *told) == 1
    assert "is a run of time_series impute, not of time_series classify" in capsys.readouterr().err
