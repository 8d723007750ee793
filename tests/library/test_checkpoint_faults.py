"""Checkpoints: full disks, kills at any moment, and damage to any file."""

import errno
import os
import shutil
import signal
import threading
from pathlib import Path

import jax
import orbax.checkpoint as ocp
import pytest

from birnn_jax._training import checkpoint_folder as _checkpoint_folder
from birnn_jax.checkpoint import Checkpoints
from tests._checkpoint_states import (
    assert_same_bits,
    contents,
    make_state,
    names,
    run_child,
)


@pytest.fixture
def saved(tmp_path):
    """A directory with checkpoints at steps 1 and 2; the best is at step 1."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(make_state(1), position={"row": 10}, score=0.9)
        checkpoints.save(make_state(2), position={"row": 20}, score=0.8)
    return tmp_path


# Directories that cannot be written


@pytest.mark.parametrize("below", ["", "checkpoints"])
def test_names_the_directory_that_is_a_file(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(OSError, match=f"Cannot keep checkpoints in {file / below}: .* Choose"):
        Checkpoints(file / below)
    assert file.read_text() == "kept"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_reads_but_does_not_write_a_read_only_directory(saved):
    before = contents(saved)
    saved.chmod(0o500)
    with Checkpoints(saved) as checkpoints:
        assert_same_bits(checkpoints.restore_latest(make_state(0)).state, make_state(2))
        with pytest.raises(OSError, match=f"Cannot save {saved / '3'}: Permission denied"):
            checkpoints.save(make_state(3), position={})
    saved.chmod(0o700)
    assert contents(saved) == before


# Full disks. Each way of failing leaves the checkpoints before it, and a later save clears up.


def assert_recovers(checkpoints, directory, before):
    assert contents(directory).items() >= before.items()
    assert_same_bits(checkpoints.restore_latest(make_state(0)).state, make_state(2))
    checkpoints.save(make_state(3), position={})
    assert_same_bits(checkpoints.restore_latest(make_state(0)).state, make_state(3))
    assert names(directory) == ["1", "2", "3"]


def test_refuses_to_fill_the_disk(saved, monkeypatch):
    before, checkpoints = contents(saved), Checkpoints(saved)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1))
        with pytest.raises(OSError, match=f"Cannot save {saved / '3'}: the disk has 1 bytes free"):
            checkpoints.save(make_state(3), position={})
    assert_recovers(checkpoints, saved, before)


def test_survives_a_disk_that_is_full_after_the_arrays(saved, monkeypatch):
    def write_text(self, text):
        self.write_bytes(text[:10].encode())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self)

    before, checkpoints = contents(saved), Checkpoints(saved)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_text)
        with pytest.raises(OSError, match=r"/3: No space left on device\. The checkp"):
            checkpoints.save(make_state(3), position={})
    assert_recovers(checkpoints, saved, before)


FULL_WHILE_ORBAX_WRITES = """
import resource, sys
from tests.library.test_checkpoint_faults import *
directory = Path(sys.argv[1])
before, checkpoints = contents(directory), Checkpoints(directory)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
with pytest.raises(OSError, match="Cannot save .*/3: .*The checkpoints before it are untouched"):
    checkpoints.save(make_state(3, size=10_000), position={})
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
assert_recovers(checkpoints, directory, before)
print("recovered")
"""


def test_survives_a_write_that_fails_inside_orbax(saved):
    child = run_child(FULL_WHILE_ORBAX_WRITES, saved)  # Orbax prints tracebacks to its stderr
    assert child.stdout == "recovered\n", child.stderr


# Kills


def test_interrupted_save_leaves_the_earlier_checkpoints(saved, monkeypatch):
    def interrupted_save(self, directory, *, args):
        directory.mkdir()
        (directory / "half").write_text("written")
        raise KeyboardInterrupt

    before, checkpoints = contents(saved), Checkpoints(saved)
    with monkeypatch.context() as patch:
        patch.setattr(ocp.Checkpointer, "save", interrupted_save)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(make_state(3), position={})
    assert checkpoints.steps == [1, 2]
    assert contents(saved).items() > before.items()
    checkpoints.save(make_state(3), position={})
    assert names(saved) == ["1", "2", "3"]


KILLED_WHILE_SAVING = """
import sys, threading, time
from birnn_jax._training import checkpoint_folder as _checkpoint_folder
from birnn_jax._training import checkpoints as checkpoint
from tests.library.test_checkpoint_faults import *

directory, moment = Path(sys.argv[1]), sys.argv[2]

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def kill_when_arrays_appear():
    while not list(directory.glob(".unfinished/**/d/*")):
        time.sleep(0.001)
    kill()

def kill_halfway(path, ignore_errors=False, rmtree=shutil.rmtree):
    if not ignore_errors:
        rmtree(path / "state")
        kill()

checkpoints = Checkpoints(directory, keep=1)
checkpoints.save(make_state(1, size=1_000_000), position={"row": 1})
if moment == "arrays":
    threading.Thread(target=kill_when_arrays_appear, daemon=True).start()
    _checkpoint_folder._sums = lambda folder: time.sleep(60)  # never as far as the rename
if moment == "sums":
    _checkpoint_folder._sums = kill
if moment == "renamed":
    checkpoint.read_score = kill
if moment == "removing":
    _checkpoint_folder.shutil.rmtree = kill_halfway
checkpoints.save(make_state(2, size=1_000_000), position={"row": 2})
"""


@pytest.mark.parametrize(
    ("moment", "litter", "steps"),
    [
        ("arrays", [".unfinished"], [1]),
        ("sums", [".unfinished"], [1]),
        ("renamed", [], [1, 2]),
        ("removing", [".removed"], [2]),
    ],
)
def test_killed_save_leaves_whole_checkpoints_only(tmp_path, moment, litter, steps):
    child = run_child(KILLED_WHILE_SAVING, tmp_path, moment)
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert names(tmp_path) == litter + [str(step) for step in steps]
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        assert checkpoints.steps == steps
        restored = checkpoints.restore_latest(make_state(0, size=1_000_000))
        assert_same_bits(restored.state, make_state(steps[-1], size=1_000_000))
        assert restored.position == {"row": steps[-1]}
        checkpoints.save(make_state(3), position={})
        checkpoints.save(make_state(4), position={})
    assert names(tmp_path) == ["4"]


# Damage


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip_one_bit(path):
    first, *rest = path.read_bytes()
    path.write_bytes(bytes([first ^ 1, *rest]))


def flip_last_bit(path):
    *rest, last = path.read_bytes()
    path.write_bytes(bytes([*rest, last ^ 1]))


@pytest.mark.parametrize("damage", [truncate, flip_one_bit, flip_last_bit, Path.unlink])
def test_damage_to_any_file_is_named_and_passed_over(saved, damage):
    checkpoints, intact = Checkpoints(saved), contents(saved / "2")
    for path, data in intact.items():
        damage(path)
        before = contents(saved)
        with pytest.warns(UserWarning, match=f"{saved / '2'} is damaged: .* It is skipped"):
            restored = checkpoints.restore_latest(make_state(0))
        assert_same_bits(restored.state, make_state(1))
        assert contents(saved) == before
        path.write_bytes(data)
    assert_same_bits(checkpoints.restore_latest(make_state(0)).state, make_state(2))


def test_nothing_but_damage_is_refused(saved):
    for step in ("1", "2"):
        truncate(saved / step / "SHA256SUMS")
    with (
        pytest.warns(UserWarning, match="is skipped"),
        pytest.raises(ValueError, match=f"No checkpoint in {saved} is intact"),
    ):
        Checkpoints(saved).restore_latest(make_state(0))


def test_save_puts_aside_the_damage_that_it_was_resumed_before(saved):
    truncate(saved / "2" / "record.json")
    with Checkpoints(saved) as checkpoints, pytest.warns(UserWarning, match="is skipped"):
        checkpoints.restore_latest(make_state(0))
        checkpoints.save(make_state(2), position={"row": 21}, score=0.7)
        assert names(saved) == ["1", "2", "2.damaged"]
        assert checkpoints.restore_latest(make_state(0)).position == {"row": 21}


# In the background


@pytest.mark.parametrize("wait", [Checkpoints.wait, lambda checkpoints: checkpoints.steps])
def test_background_save_is_complete_once_waited_for(tmp_path, wait):
    with Checkpoints(tmp_path, background=True) as checkpoints:
        state = make_state(1)
        checkpoints.save(state, position={"row": 1}, score=0.5)
        jax.tree.map(
            lambda leaf: leaf.delete(), state
        )  # as a step does that the state is donated to
        wait(checkpoints)
        assert names(tmp_path) == ["1"]
        assert_same_bits(checkpoints.restore_latest(make_state(0)).state, make_state(1))


def test_background_save_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    may_write, write = threading.Event(), _checkpoint_folder._check_room
    with Checkpoints(tmp_path, background=True) as checkpoints, monkeypatch.context() as patch:
        patch.setattr(
            _checkpoint_folder, "_check_room", lambda *args: may_write.wait(60) and write(*args)
        )
        checkpoints.save(make_state(1), position={})
        assert "1" not in names(tmp_path)
        may_write.set()
    assert names(tmp_path) == ["1"]


def test_background_failure_is_raised_once_by_what_comes_next(saved, monkeypatch):
    before = contents(saved)
    with Checkpoints(saved, background=True) as checkpoints:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1))
            checkpoints.save(make_state(3), position={})
            with pytest.raises(OSError, match=f"Cannot save {saved / '3'}: the disk has 1 bytes"):
                checkpoints.wait()
        assert_recovers(checkpoints, saved, before)


@pytest.mark.parametrize("record", ["", "{", "{}", "[1]", "\0"])
def test_the_best_of_those_that_can_be_read_is_restored(saved, record):
    (saved / "1" / "record.json").write_text(record)
    checkpoints = Checkpoints(saved)
    with pytest.warns(UserWarning, match=f"{saved / '1'} is damaged: .* It is skipped"):
        best = checkpoints.restore_best(make_state(0))
    assert_same_bits(best.state, make_state(2))
    assert_same_bits(checkpoints.restore_latest(make_state(0)).state, make_state(2))


def test_best_checkpoint_with_damaged_arrays_is_passed_over(saved):
    truncate(next((saved / "1").rglob("d/*")))
    checkpoints = Checkpoints(saved)
    with pytest.warns(UserWarning, match=f"{saved / '1'} is damaged"):
        assert_same_bits(checkpoints.restore_best(make_state(0)).state, make_state(2))
    truncate(saved / "2" / "record.json")
    with (
        pytest.warns(UserWarning, match=f"{saved / '2'} is damaged"),
        pytest.raises(ValueError, match=f"No checkpoint in {saved} with a score is intact"),
    ):
        checkpoints.restore_best(make_state(0))


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("damage", [truncate, Path.unlink])
def test_an_older_checkpoint_that_is_damaged_stops_no_save(saved, damage, background):
    damage(saved / "1" / "record.json")
    with Checkpoints(saved, keep=1, background=background) as checkpoints:
        with pytest.warns(UserWarning, match=f"{saved / '1'} is damaged"):
            checkpoints.save(make_state(3), position={}, score=0.1)
            checkpoints.wait()
        assert names(saved) == ["1", "2", "3"]  # 2 is the best whose score can be read
        checkpoints.save(make_state(4), position={}, score=0.9)
        checkpoints.wait()
        assert names(saved) == ["1.damaged", "4"]
        assert_same_bits(checkpoints.restore_best(make_state(0)).state, make_state(4))


def test_stray_files_are_no_checkpoints(saved):
    strays = ["3", "9", "007", "٣", "1.5", "notes.txt", ".unfinished", ".removed"]
    for name in strays:
        (saved / name).write_text("mine")
    (saved / "008").mkdir()
    with Checkpoints(saved, keep=1) as checkpoints:
        assert checkpoints.steps == [1, 2]
        assert_same_bits(checkpoints.restore_latest(make_state(0)).state, make_state(2))
        checkpoints.save(make_state(3), position={}, score=0.1)
        assert checkpoints.steps == [1, 3]
        assert_same_bits(checkpoints.restore_best(make_state(0)).state, make_state(1))
    assert (saved / "3.damaged").read_text() == "mine"
    left = {"9", "007", "٣", "1.5", "notes.txt", "008", "3.damaged"}
    assert set(names(saved)) == {"1", "3", *left}


def test_hidden_file_of_a_file_browser_is_no_damage(saved):
    (saved / "2" / ".DS_Store").write_text("icons")
    (saved / ".DS_Store").write_text("icons")
    assert_same_bits(Checkpoints(saved).restore_latest(make_state(0)).state, make_state(2))
