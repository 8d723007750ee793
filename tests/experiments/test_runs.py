"""The runner: killed, interrupted, out of space, diverging, taken up again."""

import contextlib
import dataclasses
import errno
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest
from rich.console import Console

from birnn_jax import Total, make_optimizer
from birnn_jax.checkpoint import Checkpoints
from birnn_jax.training import JsonLines
from experiments.pos_tagging import __main__ as pos_tagging
from experiments.pos_tagging import model as pos_tagging_training
from experiments.runner.data.batches import Batches
from experiments.runner.devices.machines import OnDevices, OnMachines
from experiments.runner.devices.processes import Interrupted
from experiments.runner.run import loop
from experiments.runner.run.command_line import run_command
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from tests.experiments import _small_tagging
from tests.experiments._commands import command

QUIET = Console(quiet=True)
ONE_TRAINING = [
    *("bilm_leakage", "char_lm", "compare_cells", "deep_rnn", "gradient_flow", "memory_tasks"),
    *("ner", "pos_tagging", "sentiment", "speech", "translation"),
]
GROUPED = ["music.compose", "music.infill", "time_series.classify", "time_series.impute"]
TRAINING = ("Train", "Sweep", "Compare", "SourceTable")


def loss_fn(params, batch, key):
    """Distance to the labels, of inputs with noise, so that keys and batches matter."""
    xs = batch["xs"] + (0 if key is None else 0.1 * jax.random.normal(key, batch["xs"].shape))
    error = jax.numpy.square(xs @ params["w"] - batch["labels"])
    return {"loss": Total(error.sum(), jax.numpy.array(error.size, error.dtype))}


@pytest.fixture(scope="module")
def training():
    rng = np.random.default_rng(0)
    examples = [
        {"xs": rng.normal(size=[4, 3]).astype("f"), "labels": rng.normal(size=[4]).astype("f")}
        for _ in range(6)
    ]
    return loop.Training(
        loss_fn=loss_fn,
        optimizer=make_optimizer(0.1, clip_norm=1.0),
        init_params=lambda key: {"w": jax.random.normal(key, [3])},
        train=Batches(examples, buckets=(4,), tokens_per_batch=8, epochs=4, seed=0),
        dev=Batches(examples, buckets=(4,), tokens_per_batch=8),
        steps_per_evaluation=3,
        patience=9,
        seed=0,
        score=lambda means: -means["loss"],
    )


def start(path):
    return RunFolder.start(path, experiment="line", settings={"seed": 0}, data={})


def outcome(folder, training):
    """Everything that must not depend on interruptions."""
    state = loop.best_state(folder, loop.initial_state(training))
    leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state)]
    return (folder.path / "metrics.jsonl").read_bytes(), leaves


@pytest.fixture(scope="module")
def unbroken(training, tmp_path_factory):
    folder = start(tmp_path_factory.mktemp("unbroken"))
    loop.fit(folder, training, QUIET)
    return outcome(folder, training)


def interrupt_at(monkeypatch, step, split="train"):
    """Sends Ctrl-C to this process when the journal gets the record of a step."""
    add = JsonLines.add

    def add_and_interrupt(self, record):
        add(self, record)
        if record["step"] == step and record.get("split") == split:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(JsonLines, "add", add_and_interrupt)


def test_run_evaluates_at_its_steps_and_at_the_end(training, tmp_path):
    folder = start(tmp_path / "run")
    training = dataclasses.replace(training, steps_per_evaluation=5)
    loop.fit(folder, training, QUIET)
    records = read_journal(folder.path / "metrics.jsonl")
    assert len(training.train) == 12
    assert [r["step"] for r in records if r["split"] == "train"] == list(range(1, 13))
    assert [r["step"] for r in records if r["split"] == "dev"] == [5, 10, 12]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 10])
def test_interrupted_run_saves_and_goes_on_as_if_it_had_not_been(
    training, unbroken, tmp_path, monkeypatch, step
):
    folder = start(tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="to resume"):
        interrupt_at(patch, step)
        loop.fit(folder, training, QUIET)
    loop.fit(start(tmp_path / "run"), training, QUIET)
    assert outcome(folder, training) == unbroken


def test_interruption_in_the_last_evaluation_lets_the_run_end(
    training, unbroken, tmp_path, monkeypatch
):
    folder = start(tmp_path / "run")
    interrupt_at(monkeypatch, 12, split="dev")
    loop.fit(folder, training, QUIET)
    assert outcome(folder, training) == unbroken


def test_signals_are_left_as_they_were(training, tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    loop.fit(start(tmp_path / "run"), training, QUIET)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_ended_run_is_not_trained_again(training, unbroken, tmp_path, monkeypatch):
    folder = start(tmp_path / "run")
    loop.fit(folder, training, QUIET)
    monkeypatch.setattr(loop._Loop, "_record", None)
    loop.fit(folder, training, QUIET)
    assert outcome(folder, training) == unbroken


def test_run_without_progress_stops_early(training, tmp_path):
    folder = start(tmp_path / "run")
    training = dataclasses.replace(training, score=lambda means: 0.0, patience=2)
    loop.fit(folder, training, QUIET)
    loop.fit(folder, training, QUIET)
    records = read_journal(folder.path / "metrics.jsonl")
    assert [r["step"] for r in records if r["split"] == "dev"] == [3, 6, 9]


def test_best_state_is_the_one_with_the_best_score_on_dev(training, tmp_path):
    folder = start(tmp_path / "run")
    worse = dataclasses.replace(training, score=lambda means: means["loss"])
    loop.fit(folder, worse, QUIET)
    records = read_journal(folder.path / "metrics.jsonl")
    losses = {r["step"]: r["loss"] for r in records if r["split"] == "dev"}
    best = loop.best_state(folder, loop.initial_state(worse))
    assert int(best.step) == max(losses, key=losses.get) != 12


def test_loss_that_is_not_finite_stops_the_run_and_names_the_step(training, tmp_path):
    training = dataclasses.replace(training, optimizer=optax.sgd(1e30))
    with pytest.raises(FloatingPointError, match="Step 2 "):
        loop.fit(start(tmp_path / "run"), training, QUIET)


@contextlib.contextmanager
def full_disk(step):
    """From the record of `step` on no file can be flushed and no folder be made; gives a list that
    is empty while there is room.
    """
    fsync, mkdir, add = os.fsync, pathlib.Path.mkdir, JsonLines.add
    is_full = []

    def refuse(function):
        def refused(*args, **options):
            if is_full:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*args, **options)

        return refused

    def add_and_fill(self, record):
        add(self, record)
        if record["step"] == step:
            saved = self._path.parent / "checkpoints" / "3"  # in the background
            while not saved.exists():
                time.sleep(0.01)
            is_full.append(True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JsonLines, "add", add_and_fill)
        patch.setattr(os, "fsync", refuse(fsync))
        patch.setattr(pathlib.Path, "mkdir", refuse(mkdir))
        yield is_full


def test_full_disk_keeps_what_was_saved_and_says_how_to_go_on(training, unbroken, tmp_path):
    folder = start(tmp_path / "run")
    with full_disk(5), pytest.raises(OSError, match="same command") as failure:
        loop.fit(folder, training, QUIET)
    assert "No space left" in str(failure.value)
    with Checkpoints(folder.path / "checkpoints") as checkpoints:
        assert checkpoints.steps == [3]
    loop.fit(folder, training, QUIET)
    assert outcome(folder, training) == unbroken


def test_state_in_memory_is_saved_once_there_is_room(training, unbroken, tmp_path, capsys):
    folder = start(tmp_path / "run")
    with full_disk(5) as is_full:
        add = JsonLines.add

        def add_and_empty(self, record):
            add(self, record)
            if record["step"] == 8:
                is_full.clear()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(JsonLines, "add", add_and_empty)
            loop.fit(folder, training, Console())
    assert "No space left on device" in capsys.readouterr().out
    assert outcome(folder, training) == unbroken


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match=r"Cannot keep a run in .*file/run: .* with --run"):
        start(tmp_path / "file" / "run")


def test_step_is_given_nothing_that_lies_on_the_host(training, tmp_path):
    offender = np.ones([3], "f")

    def make_train_step(loss_fn, optimizer, **options):
        return lambda state, batch, key: (state, jax.jit(lambda x: x)(offender))

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Exception, match="Disallowed"):
        patch.setattr(loop, "make_train_step", make_train_step)
        loop.fit(start(tmp_path / "run"), training, QUIET)


def test_folder_of_other_settings_is_refused_naming_the_differences(tmp_path):
    start(tmp_path / "run")
    with pytest.raises(ValueError, match="with seed 0, not seed 1"):
        RunFolder.start(tmp_path / "run", experiment="line", settings={"seed": 1}, data={})


def test_folder_of_another_experiment_is_refused(tmp_path):
    start(tmp_path / "run")
    with pytest.raises(ValueError, match="is a run of line, not of pos_tagging"):
        RunFolder.open(tmp_path / "run", experiment="pos_tagging")


def test_data_counts_by_its_content_and_not_by_its_place(tmp_path):
    def run(name, content):
        (tmp_path / name).write_text(content)
        RunFolder.start(
            tmp_path / "run", experiment="line", settings={}, data={"train": tmp_path / name}
        )

    run("here", "a")
    run("there", "a")
    with pytest.raises(ValueError, match="content of --train"):
        run("here", "b")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_unreadable_configuration_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=r"config.json is not the configuration of a run"):
        RunFolder.open(tmp_path, experiment="line")


def test_environment_names_versions_and_hardware(tmp_path):
    environment = json.loads((start(tmp_path / "run").path / "environment.json").read_text())
    assert environment["packages"]["jax"] == jax.__version__
    assert environment["devices"] and environment["cores"] >= 1


def test_killed_tagger_goes_on_bit_for_bit(tmp_path, monkeypatch):
    data = _small_tagging.write_data(tmp_path)

    def arguments(name):
        return _small_tagging.arguments(data, tmp_path / name)

    for moment in ["train 5", "saving 6"]:
        killed = [sys.executable, "-m", "tests.experiments._killed", moment, *arguments("killed")]
        assert subprocess.run(killed).returncode == -signal.SIGKILL
    assert command(monkeypatch, pos_tagging, *arguments("killed")) == 0
    assert command(monkeypatch, pos_tagging, *arguments("unbroken")) == 0
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    for name in ["metrics.jsonl", "predictions.tsv", "mistakes.txt"]:
        assert (killed / name).read_bytes() == (unbroken / name).read_bytes()
    taggers = [
        pos_tagging_training.load_tagger(RunFolder.open(path, experiment="pos_tagging"))
        for path in [killed, unbroken]
    ]
    jax.tree.map(np.testing.assert_array_equal, *[tagger.params for tagger in taggers])


@pytest.mark.parametrize(
    ("failure", "status", "said"),
    [
        (Interrupted("Interrupted after step 3 and saved."), 75, "after step 3 and saved"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (OSError("Cannot save."), 1, "error: Cannot save."),
    ],
)
def test_status_of_a_command_says_whether_it_goes_on(monkeypatch, capsys, failure, status, said):
    @dataclasses.dataclass
    class Failing:
        def run(self):
            raise failure

    monkeypatch.setattr(sys, "argv", ["failing"])
    with pytest.raises(SystemExit) as leaving:
        run_command("failing", Failing, "Fails.")
    assert leaving.value.code == status
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", [*ONE_TRAINING, *GROUPED])
def test_every_experiment_trains_on_any_devices(name):
    module = importlib.import_module(
        f"experiments.{name}.{'commands' if name in GROUPED else '__main__'}"
    )
    commands = [one for one in vars(module).values() if hasattr(one, "run")]
    training = [one for one in commands if one.__name__ in TRAINING]
    assert issubclass(module.Train, OnMachines)
    assert all(issubclass(one, OnMachines | OnDevices) for one in training)
