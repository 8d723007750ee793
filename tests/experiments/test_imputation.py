"""Filling in missing values: what is hidden, windows and parts, options, baselines."""

import dataclasses
import pathlib

import numpy as np
import pytest

from experiments.runner.run.settings import RunSettings
from experiments.time_series.impute.baselines import last_value, straight_lines
from experiments.time_series.impute.config import ImputeConfig
from experiments.time_series.impute.data import hide, read_parts
from experiments.time_series.impute.model import make_training
from tests.experiments._computed import batches_of, program_of
from tests.experiments._small_table import OPTIONS, write_table

pytestmark = pytest.mark.slow

ETTH1 = pathlib.Path(__file__).parents[3] / "shared" / "data" / "etth1" / "ETTh1.csv.gz"
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
    return write_table(tmp_path_factory.mktemp("table") / "waves.csv")


def config(table, **changes):
    return ImputeConfig(table=table, **{**OPTIONS, **changes})


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
    ("changes", "sentence"),
    [
        ({"dev_from": "t95"}, "choose --dev-from and --test-from between t00 and t89"),
        ({"steps": 10}, "part for dev has 18 rows: two windows of 10 steps"),
    ],
)
def test_parts_that_cannot_be_made_are_refused(table, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_parts(config(table, **changes))


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
