"""One checkpoint: a folder that appears whole, and is read only while it is intact.

    400/
      state/         the `TrainState`, written by Orbax
      record.json    position, score, and the name, dtype and shape of every array
      SHA256SUMS     of all these files, as `sha256sum -c` reads it

Folders are made here and not by `orbax.checkpoint.CheckpointManager`, for what must hold when a
disk fails: Orbax restores an array with a flipped bit without a word, answers other damage with a
bare `Exception` under a screen of tracebacks, and opens nothing at all once the score of one
checkpoint is unreadable. With the checksums compared first, Orbax reads intact files only.
"""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from .._core.describe import describe as describe_value
from .checkpoint_leaves import decode, describe, encode
from .state import TrainState


class DamagedError(ValueError):
    """The files of a checkpoint are not as they were saved."""


_RECORD, _SUMS = "record.json", "SHA256SUMS"


def local_folder(directory: str | os.PathLike[str]) -> Path:
    """The folder, which may not be an address such as gs://bucket/run."""
    if not isinstance(directory, str | os.PathLike):
        raise TypeError(f"directory must be a path, got {describe_value(directory)}.")
    path = os.fspath(directory)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path):  # longer than the letter of a drive
        raise ValueError(
            f"Checkpoints are kept in a folder of a file system, got {path!r}: they need renames "
            "that are atomic. Mount the bucket, or save to a local folder and copy it."
        )
    return Path(path).expanduser().absolute()


def steps_in(directory: Path) -> list[int]:
    """The steps by which checkpoints in a folder are named, oldest first."""
    names = [path.name for path in directory.iterdir() if path.is_dir()]
    digits = [name for name in names if name.isascii() and name.isdecimal()]
    return sorted(int(name) for name in digits if name == str(int(name)))


def make_orbax() -> ocp.Checkpointer:
    """What reads and writes arrays: for this process alone, however many there are."""
    alone = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(), active_processes={jax.process_index()}
    )
    handler = ocp.StandardCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def write(
    folder: Path,
    orbax: ocp.Checkpointer,
    state: TrainState,
    *,
    position: dict[str, Any],
    score: float | None,
) -> None:
    """Writes beside `folder`, out of sight, then brings all to light by one rename."""
    unfinished = folder.with_name(".unfinished")
    _clear(unfinished)  # of a killed process
    record = {"position": position, "score": score, "leaves": describe(state)}
    try:
        arrays = jax.tree.map(encode, state)
        _check_room(folder.parent, arrays)
        if folder.exists():  # a stray file, as it is no checkpoint
            put_aside(folder)
        unfinished.mkdir()
        orbax.save(unfinished / "state", args=ocp.args.StandardSave(arrays))
        (unfinished / _RECORD).write_text(json.dumps(record, indent=2))
        (unfinished / _SUMS).write_text(_sums(unfinished))
        unfinished.rename(folder)
    except (OSError, ValueError) as error:  # a failed write leaves Orbax as a ValueError
        shutil.rmtree(unfinished, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"Cannot save {folder}: {reason}. The checkpoints before it are untouched."
        ) from error


def read(
    folder: Path, orbax: ocp.Checkpointer, like: TrainState
) -> tuple[TrainState, dict[str, Any]]:
    """Gives the state and the position."""
    _check_intact(folder)
    record = json.loads((folder / _RECORD).read_text())
    _check_same_model(folder, found=record["leaves"], expected=describe(like))
    # By name, and not in the structure of `like`: a field that is None there may have been added
    # to a container after the checkpoint was written.
    saved = orbax.restore(folder / "state", args=ocp.args.StandardRestore())
    arrays = {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(saved)}
    state = jax.tree_util.tree_map_with_path(
        lambda path, leaf: decode(np.asarray(arrays[_name(path)]), leaf), like
    )
    return state, record["position"]


def read_score(folder: Path) -> float | None:
    """Gives the score without the cost of reading the arrays."""
    try:
        return json.loads((folder / _RECORD).read_text())["score"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder) from error


def read_leaves(folder: Path) -> dict[str, str]:
    """Gives dtype and shape of every array, without the cost of reading them."""
    try:
        return json.loads((folder / _RECORD).read_text())["leaves"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder) from error


def put_aside(folder: Path) -> None:
    """Renames a damaged checkpoint, so that it is taken for none."""
    aside = folder.with_name(f"{folder.name}.damaged")
    _clear(aside)
    folder.rename(aside)


def remove(folder: Path) -> None:
    """Removes by one rename first: half a checkpoint must not be taken for a checkpoint."""
    removed = folder.with_name(".removed")
    _clear(removed)  # of a killed process
    shutil.rmtree(folder.rename(removed))


def _name(path: tuple[Any, ...]) -> tuple[str, ...]:
    """The same for a field of a NamedTuple and for the entry of the dict that Orbax makes of it."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path)


def _clear(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sums(folder: Path) -> str:
    """What `sha256sum` prints for these files. A file browser may have added hidden ones."""
    paths = [path for path in sorted(folder.rglob("[!.]*")) if path.name != _SUMS]
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in paths
        if path.is_file()
    )


def _check_room(directory: Path, arrays: Any) -> None:
    """Fails before the disk is full: Orbax would say it in a hundred lines of its own."""
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(arrays)) + 2**20  # for indices, generously
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise OSError(f"the disk has {free} bytes free and {needed} are needed")


def _check_intact(folder: Path) -> None:
    try:
        intact = (folder / _SUMS).read_bytes() == _sums(folder).encode()
    except OSError as error:
        raise _damaged(folder) from error
    if not intact:
        raise _damaged(folder)


def _damaged(folder: Path) -> DamagedError:
    return DamagedError(
        f"The checkpoint {folder} is damaged: its files are not as they were saved."
    )


def _check_same_model(folder: Path, *, found: dict[str, str], expected: dict[str, str]) -> None:
    for name in expected | found:
        if found.get(name) != expected.get(name):
            raise ValueError(
                f"The checkpoint {folder} is of another model: {name} is "
                f"{found.get(name, 'absent')} there and {expected.get(name, 'absent')} here. "
                "Build the model with the settings of the run that saved it."
            )
