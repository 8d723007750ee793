"""Filling in missing values: the cell of BRITS, what is hidden, what is read, the commands."""

import dataclasses
import functools
import json
import pathlib
import re

import jax
import numpy as np
import pytest

from birnn_jax import init_bidirectional
from experiments.runner.data.reading import Reading
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.settings import RunSettings
from experiments.time_series import __main__ as time_series
from experiments.time_series.impute import commands as impute_commands
from experiments.time_series.impute.baselines import last_value, straight_lines
from experiments.time_series.impute.brits import BRITS
from experiments.time_series.impute.config import ImputeConfig, ImputeModel
from experiments.time_series.impute.data import hide, read_parts, split_rows
from experiments.time_series.impute.model import estimate, make_training
from experiments.time_series.impute.table import read_table
from tests import _figures
from tests.experiments._commands import command, options, standard_input
from tests.experiments._computed import batches_of, program_of

pytestmark = pytest.mark.slow

ETTH1 = pathlib.Path(__file__).parents[3] / "shared" / "data" / "etth1" / "ETTh1.csv.gz"
OPTIONS = {
    "steps": 5,
    "hidden": 0.2,
    "hidden_size": 4,
    "windows_per_batch": 3,
    "epochs": 2,
    "epochs_per_evaluation": 1,
}
DATA_CHANGES = {
    "dev_from": "t30",
    "test_from": "t75",
    "steps": 4,
    "hidden": 0.4,
    "concealed": 0.6,
    "anywhere": False,
    "windows_per_batch": 2,
}
MODEL_CHANGES = {"direction": "fwd", "hidden_size": 3, "consistency": 0.5}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """90 rows of two waves, a few values missing."""
    path = tmp_path_factory.mktemp("table") / "waves.csv"
    steps = np.arange(90)
    values = np.stack([np.sin(steps / 3), 5 + 2 * np.cos(steps / 4)], axis=1).round(3)
    rows = [[f"t{step:02}", *map(str, row)] for step, row in zip(steps, values, strict=True)]
    rows[7][1], rows[40][2] = "", "NaN"
    path.write_text("\n".join(map(",".join, [["time", "a", "b"], *rows])) + "\n")
    return path


def config(table, **changes):
    return ImputeConfig(table=table, **{**OPTIONS, **changes})


def brits_loop(params, xs):
    """The equations of one direction over `[T, 2D]`, in float64; rows of past, others, mixed."""
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    sigmoid = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    left = lambda a: np.exp(-np.maximum(a, 0))  # noqa: E731
    size = xs.shape[1] // 2
    hidden = p.lstm.w_h.shape[0]
    h, c, gap = np.zeros(hidden), np.zeros(hidden), np.zeros(size)
    rows = []
    for x, m in zip(xs[:, :size].astype(np.float64), xs[:, size:], strict=True):
        h = h * left(gap @ p.forget.w + p.forget.b)
        past = h @ p.past.w + p.past.b
        complete = m * x + (1 - m) * past
        others = np.array(
            [
                sum(complete[j] * p.others.w[j, k] for j in range(size) if j != k) + p.others.b[k]
                for k in range(size)
            ]
        )
        faded = left(gap * p.fade.w + p.fade.b)
        share = sigmoid(np.concatenate([faded, m]) @ p.mix.w + p.mix.b)
        mixed = share * others + (1 - share) * past
        read = np.concatenate([m * x + (1 - m) * mixed, m])
        i, f, g, o = np.split(read @ p.lstm.w_x + h @ p.lstm.w_h + p.lstm.b, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        gap = 1 + (1 - m) * gap
        rows.append([past, others, mixed])
    return np.array(rows)


@pytest.fixture(scope="module")
def case():
    """Parameters with every bias at random, and a batch with gaps."""
    sizes = {"input_size": 6, "hidden_size": 4}
    init = jax.jit(lambda key: init_bidirectional(BRITS, key, **sizes))
    rng = np.random.default_rng(2)
    noisy = lambda leaf: leaf + 0.3 * rng.normal(size=leaf.shape).astype(np.float32)  # noqa: E731
    params = jax.tree.map(noisy, jax.device_get(init(jax.random.key(0))))
    values = rng.normal(size=[2, 7, 3]).astype(np.float32)
    seen = rng.random(values.shape) < 0.6
    return params, values, seen


@pytest.fixture(scope="module")
def both():
    return jax.jit(functools.partial(estimate, ImputeModel("both", 0.0)))


def test_cell_matches_the_equations_in_both_directions(case, both):
    params, values, seen = case
    ys = both(params, values, seen)
    xs = np.concatenate([np.where(seen, values, 0), seen], axis=-1).astype(np.float32)
    for row, one in enumerate(xs):
        fwd, bwd = brits_loop(params.fwd, one), brits_loop(params.bwd, one[::-1])[::-1]
        for direction, expected in zip(ys, (fwd, bwd), strict=True):
            got = np.stack([leaf[row] for leaf in direction], axis=1)
            np.testing.assert_allclose(got, expected, atol=2e-5)


def test_estimate_of_a_value_does_not_use_it(case, both):
    params, values, seen = case
    count = values[0].size
    places = np.arange(count)
    many = np.repeat(values[:1], count + 1, axis=0).reshape(count + 1, count)
    many[places, places] += 1.0  # each value in a row of its own; the last row is as it was
    shown = np.repeat(seen[:1], count + 1, axis=0)
    estimates = both(params, many.reshape(count + 1, *values.shape[1:]), shown)
    leaves = np.stack(jax.tree.leaves(estimates)).reshape(6, count + 1, count)
    changed = (leaves[:, :-1] != leaves[:, -1:]).any(axis=0)  # [value changed, estimate]
    assert not changed[places, places].any()
    assert changed[seen[0].ravel()].any(axis=1).all()
    assert not changed[~seen[0].ravel()].any()


def test_one_direction_sees_its_side_only(case):
    params, values, seen = case
    seen = seen | (np.arange(7) == 4)[None, :, None]
    other = values.copy()
    other[:, 4] += 1
    sides = {"fwd": (slice(0, 5), slice(5, 7)), "bwd": (slice(4, 7), slice(0, 4))}
    for direction, (unseen, reached) in sides.items():
        run = jax.jit(functools.partial(estimate, ImputeModel(direction, 0.0)))
        changed = run(params, values, seen)[0].past != run(params, other, seen)[0].past
        assert not changed[:, unseen].any()
        assert changed[:, reached].any(axis=(0, 2)).all()


def test_gaps_have_their_length_and_hide_their_share():
    observed = np.ones([300, 20, 3], bool)
    observed[:, 4] = False
    hidden = hide(observed, 0.2, 3, np.random.default_rng(0))
    assert not hidden[:, 4].any()
    everywhere = hide(np.ones_like(observed), 0.2, 3, np.random.default_rng(0))
    assert 0.15 < everywhere.mean() <= 0.2
    assert hide(np.ones_like(observed), 0.2, 1, np.random.default_rng(0)).mean() == 0.2
    runs = np.diff(np.pad(hidden[:, 8:], [(0, 0), (1, 1), (0, 0)]).astype(int), axis=1)
    starts, ends = (np.argwhere((runs == sign).swapaxes(1, 2)) for sign in (1, -1))
    lengths = (ends - starts)[:, 2]
    inside = (starts[:, 2] > 0) & (ends[:, 2] < 12)
    assert (lengths[inside] >= 3).all() and (lengths[inside] == 3).any()


def test_baselines_fill_in_by_hand():
    values = np.array([[[9.0], [2.0], [9.0], [9.0], [5.0], [9.0]]])
    seen = np.array([[[False], [True], [False], [False], [True], [False]]])
    assert last_value(values, seen)[0, :, 0].tolist() == [0, 2, 2, 2, 5, 5]
    assert straight_lines(values, seen)[0, :, 0].tolist() == [2, 2, 3, 4, 5, 5]
    assert straight_lines(values, ~seen & seen)[0, :, 0].tolist() == [0] * 6


def test_hidden_values_are_neither_shown_nor_wanted_in_training(table):
    parts = read_parts(config(table, concealed=0.3)).windows
    assert {name: len(part.values) for name, part in parts.items()} == {
        "train": 9,
        "dev": 2,
        "test": 2,
    }
    train = parts["train"]
    assert not (train.seen & train.hidden).any() and train.hidden.any()
    assert not (train.seen | train.hidden)[1, 2, 0]  # the file has no value there
    training = make_training(config(table, concealed=0.3, anywhere=False), parts)
    for index in range(len(training.train)):
        batch = training.train[index]
        assert not (batch["seen"] & ~batch["wanted"]).any()
        rows = [
            np.flatnonzero((train.values == one).all(axis=(1, 2)))[0] for one in batch["values"]
        ]
        np.testing.assert_array_equal(batch["wanted"], train.seen[rows])
    np.testing.assert_array_equal(training.dev[0]["wanted"], parts["dev"].hidden)
    assert not (training.dev[0]["wanted"] & training.dev[0]["seen"]).any()


def training_of(table, **changes):
    chosen = config(table, **changes)
    return make_training(chosen, read_parts(chosen).windows)


@pytest.fixture(scope="module")
def usual(table):
    training = training_of(table)
    return batches_of(training), program_of(training)


def test_every_option_is_tested():
    names = {field.name for field in dataclasses.fields(ImputeConfig)}
    settings = {field.name for field in dataclasses.fields(RunSettings)}
    assert names - settings == DATA_CHANGES.keys() | MODEL_CHANGES.keys() | {
        *("table", "encoding", "strict")
    }


@pytest.mark.parametrize(("name", "value"), DATA_CHANGES.items(), ids=DATA_CHANGES.keys())
def test_option_changes_what_is_read(table, usual, name, value):
    assert batches_of(training_of(table, **{name: value})) != usual[0]


@pytest.mark.parametrize(("name", "value"), MODEL_CHANGES.items(), ids=MODEL_CHANGES.keys())
def test_option_changes_the_model(table, usual, name, value):
    assert program_of(training_of(table, **{name: value})) != usual[1]


def test_same_options_compute_the_same(table, usual):
    training = training_of(table)
    assert (batches_of(training), program_of(training)) == usual


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden", 0.0), ("concealed", 1.0), ("consistency", -1.0), ("steps", 0), ("epochs", 0)],
)
def test_impossible_settings_are_refused_by_name(table, name, value):
    with pytest.raises(ValueError, match=f"{name} must"):
        config(table, **{name: value})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no table"),
        ("time\n1\n2", "holds no table"),
        ("time,a\nt1,1\nt2,1,2\n", "line 3: 3 field(s) where the first line names 2"),
        ("time,a\nt1,1\nt2,one\n", "line 3: a is 'one', which is no number"),
        ("time,a\nt1,1\rt2,2\n", "line 2: new-line character seen in unquoted field"),
        ("time,a\nt2,1\nt1,2\n", "line 3: 't1' does not come after 't2'"),
        ("time,a,b\nt1,1,\nt2,2,nan\n", "b has no observed value"),
    ],
)
def test_broken_table_is_refused_in_a_sentence(tmp_path, text, sentence):
    path = tmp_path / "table.csv"
    path.write_text(text, newline="")
    with pytest.raises(ValueError) as error:
        read_table(path, Reading())
    assert sentence in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time,é,b\n9,1.5,\n10,2,3e1\n", ""),
        ("time;é;b\n9;1,5;null\n10;2,0;3e1\n", "by semicolons. numbers have decimal commas"),
        ("time\té\tb\n9\t1.5\t?\n10\t2\t30\n", "separated by tabs"),
        ("time,é,b\n\n9,1.5,N/A\n , ,\n10,2,30\n\n", "an empty line, 2 times (lines 2, 4)"),
    ],
    ids=["commas", "semicolons", "tabs", "blank"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_tables_are_read_as_they_are_found_and_that_is_told(tmp_path, text, told, encoding):
    path, reading = tmp_path / "a.csv", Reading(encoding)
    path.write_bytes(text.encode(encoding))
    table = read_table(path, reading)
    assert (table.names, table.times) == (("é", "b"), ("9", "10"))
    np.testing.assert_array_equal(table.values, [[1.5, np.nan], [2, 30]])
    sentences = " ".join(one for one in reading.sentences() if "UTF-16" not in one)
    assert all(part in sentences for part in told.split(". ")) and bool(told) == bool(sentences)
    if "empty" in told:
        with pytest.raises(ValueError, match="line 2: an empty line; --strict refuses that"):
            read_table(path, Reading(encoding, strict=True))


def test_times_that_are_numbers_are_compared_as_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("time,a\n" + "".join(f"{i},1\n" for i in range(8, 13)))
    rows = split_rows(read_table(path, Reading()), "10", "12.0")
    assert [(part.start, part.stop) for part in rows.values()] == [(0, 2), (2, 4), (4, 5)]
    with pytest.raises(ValueError, match="times of the table are numbers; 'noon' is not one"):
        split_rows(read_table(path, Reading()), "noon", "12")
    path.write_text("time,a\n8,1\n10,1\n\n9,1\n")
    with pytest.raises(ValueError, match="line 5: '9' does not come after '10'"):
        read_table(path, Reading())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dev_from": "t95"}, "choose --dev-from and --test-from between t00 and t89"),
        ({"steps": 10}, "part for dev has 18 rows: two windows of 10 steps"),
    ],
)
def test_parts_that_cannot_be_made_are_refused(table, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_parts(config(table, **changes))


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


@pytest.mark.skipif(not ETTH1.exists(), reason="ETTh1 is not shipped")
def test_etth1_has_the_windows_of_the_protocol():
    parts_from = {"dev_from": "2017-09-01", "test_from": "2018-02-01"}
    table, _, parts = read_parts(ImputeConfig(table=ETTH1, **parts_from))
    assert [len(part.values) for part in parts.values()] == [212, 75, 71]
    test = parts["test"]
    np.testing.assert_allclose(np.abs(test.values).mean(), 0.847, atol=0.001)
    errors = np.abs(last_value(np.where(test.seen, test.values, 0), test.seen) - test.values)
    np.testing.assert_allclose(errors[test.hidden].mean(), 0.311, atol=0.02)
    assert table.names[-1] == "OT"
