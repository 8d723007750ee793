"""Several steps in one dispatch: the same run, step by step, however they are dispatched."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from experiments.runner.run import loop
from experiments.runner.run.journal import read_journal
from tests.experiments.test_runs import QUIET, interrupt_at, outcome, start
from tests.experiments.test_runs import training as training


class Stacked:
    """The batches of another source, several in one."""

    def __init__(self, batches, size):
        self.batches, self.size = batches, size

    def __len__(self):
        return len(self.batches) // self.size

    def __getitem__(self, index):
        chosen = [self.batches[int(index) * self.size + i] for i in range(self.size)]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *chosen)


@pytest.fixture
def stacked(training):
    return dataclasses.replace(
        training, train=Stacked(training.train, 3), steps_per_dispatch=3, steps_per_evaluation=3
    )


def test_run_is_the_same_in_one_dispatch_or_several(training, stacked, tmp_path):
    assert stacked.num_steps == training.num_steps == 12
    records = []
    for name, one in {"single": training, "stacked": stacked}.items():
        loop.fit(start(tmp_path / name), one, QUIET)
        records.append(read_journal(tmp_path / name / "metrics.jsonl"))
    for single, several in zip(*records, strict=True):
        assert (single["step"], single["split"]) == (several["step"], several["split"])
        assert single["loss"] == pytest.approx(several["loss"], rel=1e-5)


@pytest.mark.parametrize("step", [1, 8])
def test_interrupted_run_goes_on_bit_for_bit(stacked, tmp_path, monkeypatch, step):
    loop.fit(start(tmp_path / "unbroken"), stacked, QUIET)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="to resume"):
        interrupt_at(patch, step)
        loop.fit(start(tmp_path / "run"), stacked, QUIET)
    loop.fit(start(tmp_path / "run"), stacked, QUIET)
    unbroken, run = (outcome(start(tmp_path / name), stacked) for name in ("unbroken", "run"))
    assert run == unbroken


def test_loss_that_is_not_finite_names_its_step_within_the_dispatch(stacked, tmp_path):
    stacked = dataclasses.replace(stacked, optimizer=optax.sgd(1e30))
    with pytest.raises(FloatingPointError, match="Step 2 "):
        loop.fit(start(tmp_path / "run"), stacked, QUIET)
    records = read_journal(tmp_path / "run" / "metrics.jsonl")
    assert [record["step"] for record in records] == [1]


def test_run_ends_once_it_is_good_enough(training, tmp_path):
    folder = start(tmp_path / "run")
    good = dataclasses.replace(training, enough=-1e9)
    loop.fit(folder, good, QUIET)
    loop.fit(folder, good, QUIET)
    records = read_journal(folder.path / "metrics.jsonl")
    assert [r["step"] for r in records if r["split"] == "dev"] == [3]


def test_clock_knows_the_time_of_the_processor(training, tmp_path):
    folder = start(tmp_path / "run")
    loop.fit(folder, training, QUIET)
    clock = read_journal(folder.path / "clock.jsonl")
    assert [record["step"] for record in clock] == [3, 6, 9, 12]
    assert all(record["cpu_seconds"] > 0 for record in clock)


def test_score_that_is_not_finite_stops_the_run_and_names_the_step(training, tmp_path):
    training = dataclasses.replace(training, score=lambda means: float("nan"))
    with pytest.raises(FloatingPointError, match="After step 3 the score on dev is nan"):
        loop.fit(start(tmp_path / "run"), training, QUIET)
    records = read_journal(tmp_path / "run" / "metrics.jsonl")
    assert [record["split"] for record in records] == ["train"] * 3
