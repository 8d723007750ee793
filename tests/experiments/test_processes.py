"""Several real processes of one training: the same numbers, and what happens when one is gone."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from rich.console import Console

from experiments.runner.data.batches import Share, shared
from experiments.runner.devices.machines import Machines
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from tests.experiments import _cluster

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
TIMEOUT = 60  # seconds to begin, three times those without a sign of life


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(run, count, process, port, *options):
    """Starts one of `count` processes."""
    place = ["--coordinator", f"127.0.0.1:{port}", "--num-processes", count, "--process-id"]
    return start_at([*place, process], run, *options)


def start_at(place, run, *options, **variables):
    """Starts a process that finds the others at a place, or by variables of its environment."""
    words = [*place, "--timeout", TIMEOUT, "--run-folder", run, *options]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "2"} | variables
    command = [sys.executable, "-m", "tests.experiments._cluster", *map(str, words)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=-1
    )


def outcomes(children):
    """The exit status of each, and what it said."""
    said = [child.communicate(timeout=300)[1] for child in children]
    return [child.returncode for child in children], said


def train(run, count, options):
    """Trains in so many processes; `options` has those of some of them."""
    port = free_port()
    return outcomes([start(run, count, i, port, *options.get(i, ())) for i in range(count)])


def fit(run):
    """Trains to the end in this process."""
    folder = RunFolder.start(run, experiment="cluster", settings={"seed": 0}, data={})
    loop.fit(folder, _cluster.make_training(), Console(quiet=True))
    return read_journal(run / "metrics.jsonl")


def test_two_processes_then_four_then_one_have_the_curve_of_one(tmp_path):
    """Two are asked to stop, one of four is killed, then the first of two; one ends it."""
    run = tmp_path / "run"
    slow = ("--devices", 2, "--pause", 0.5)  # as a second passes before all know of a signal
    polite = ("--die-after", 4, "--signal", int(signal.SIGTERM))
    statuses, said = train(run, 2, {0: slow, 1: (*slow, *polite)})
    assert statuses == [75, 75], said
    assert all("Interrupted after step" in one for one in said)
    saved = [int(path.name) for path in (run / "checkpoints").iterdir()]
    assert 4 < max(saved) < 12

    statuses, said = train(run, 4, {2: ("--die-after", 10)})
    assert [statuses[i] for i in (0, 1, 3)] == [75] * 3, said
    assert statuses[2] == -signal.SIGKILL
    assert all("Process 2 of 4 has died" in said[i] for i in (0, 1, 3))
    assert {path.name for path in run.iterdir()} == {
        *("checkpoints", "clock.jsonl", "config.json", "environment.json", "metrics.jsonl"),
    }

    statuses, said = train(run, 2, {0: ("--die-after", 11)})
    assert statuses == [-signal.SIGKILL, 75], said
    assert "Process 0 of 2 has died" in said[1]

    records, want = fit(run), fit(tmp_path / "unbroken")
    assert len(records) == len(want) == 16
    for one, other in zip(records, want, strict=True):
        assert (one["step"], one["split"]) == (other["step"], other["split"])
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_processes_find_one_another_as_srun_says(tmp_path):
    run, job = tmp_path / "run", random.randrange(4096)  # the job decides on the port
    slurm = {"SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    numbers = [{"SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)} for i in range(2)]
    children = [start_at(["--coordinator", "auto"], run, **slurm, **one) for one in numbers]
    statuses, said = outcomes(children)
    assert statuses == [0, 0], said
    assert RunFolder.open(run, experiment="cluster").path == run
    assert read_journal(run / "metrics.jsonl")[-1]["step"] == 12


def test_processes_that_were_started_differently_say_what_differs(tmp_path):
    statuses, said = train(tmp_path / "run", 2, {1: ("--seed", 7)})
    assert statuses == [1, 1], said
    assert all("Process 1 was started with seed 7, process 0 with seed 0" in one for one in said)


def test_coordinator_that_does_not_answer_is_not_waited_for_forever(tmp_path):
    child = start(tmp_path / "run", 2, 1, free_port(), "--timeout", 1)
    (status,), (said,) = outcomes([child])
    assert (status, "Not every one of 2 processes came to 127.0.0.1:" in said) == (75, True), said


@pytest.mark.parametrize(("devices", "shown"), [(1, None), (4, [0, 1, 2, 3])])
def test_process_is_shown_as_many_devices_as_it_needs(monkeypatch, devices, shown):
    def initialize(*place, local_device_ids, **timeouts):
        raise RuntimeError(f"shown {local_device_ids and [*local_device_ids]}")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    before = threading.active_count()
    with pytest.raises(RuntimeError, match=re.escape(f"shown {shown}")):
        Machines(devices=devices, coordinator="auto").use().__enter__()
    time.sleep(0.1)
    assert threading.active_count() == before  # nothing waits for others any more


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"devices": 0}, "devices must be at least 1, got 0"),
        ({"coordinator": "here"}, "coordinator must be host:port, got 'here'"),
        ({"coordinator": "a:1"}, "needs --num-processes and --process-id"),
        ({"coordinator": "a:1", "num_processes": 2, "process_id": 2}, "process_id must be from 0"),
        ({"num_processes": 2}, "need a coordinator"),
    ],
)
def test_places_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Machines(**options)


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"--devices 99: there (is|are) "):
        Machines(devices=99).use().__enter__()


def test_batch_that_cannot_be_shared_evenly_is_named():
    batches = [{"xs": np.zeros([6, 4]), "fresh": np.array(True)}]
    assert shared(batches, Share(1, 2, 6))[0]["xs"].shape == (3, 4)
    with pytest.raises(ValueError, match=r"A batch has 6 rows, which cannot .* in 4 pieces"):
        shared(batches, Share(0, 2, 4))[0]


def test_shares_of_padded_batches_are_the_batches():
    whole = _cluster.make_training().train
    shares = [shared(whole, Share(process, 2, 6)) for process in range(2)]
    assert len(shares[0]) == len(whole) and shares[0][0]["rows"].shape == (6,)
    for index in (0, 4):
        got = np.concatenate([one[index]["rows"] for one in shares])
        np.testing.assert_array_equal(got[:8], whole[index]["rows"])
        assert (got[8:] == -1).all()
