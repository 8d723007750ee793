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
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from .train_step import TrainState


class DamagedError(ValueError):
    """The files of a checkpoint are not as they were saved."""


_RECORD, _SUMS = "record.json", "SHA256SUMS"


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
    shutil.rmtree(unfinished, ignore_errors=True)  # of a killed process
    record = {"position": position, "score": score, "leaves": _leaves(state)}
    try:
        _check_room(folder.parent, state)
        unfinished.mkdir()
        arrays = jax.tree.map(np.asarray, state)  # whole, whatever devices hold them
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
    _check_same_model(folder, found=record["leaves"], expected=_leaves(like))
    args = ocp.args.StandardRestore(jax.tree.map(_shape_of, like))
    arrays = orbax.restore(folder / "state", args=args)
    return jax.tree.map(_place, arrays, like), record["position"]


def read_score(folder: Path) -> float | None:
    """Gives the score without the cost of reading the arrays."""
    try:
        return json.loads((folder / _RECORD).read_text())["score"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder) from error


def put_aside(folder: Path) -> None:
    """Renames a damaged checkpoint, so that it is taken for none."""
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)


def remove(folder: Path) -> None:
    """Removes by one rename first: half a checkpoint must not be taken for a checkpoint."""
    removed = folder.with_name(".removed")
    shutil.rmtree(removed, ignore_errors=True)  # of a killed process
    shutil.rmtree(folder.rename(removed))


def _leaves(state: TrainState) -> dict[str, str]:
    """Every array by name, such as `{"params.w": "float32[2, 3]"}`."""
    return {
        jax.tree_util.keystr(path).lstrip("."): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(state)
    }


def _shape_of(leaf: Any) -> np.ndarray:
    """An array of NumPy that takes no memory."""
    return np.broadcast_to(np.zeros([], leaf.dtype), leaf.shape)


def _place(array: np.ndarray, like: Any) -> jax.Array:
    sharding = like.sharding or jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def _sums(folder: Path) -> str:
    """What `sha256sum` prints for these files. A file browser may have added hidden ones."""
    paths = [path for path in sorted(folder.rglob("[!.]*")) if path.name != _SUMS]
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path in paths
        if path.is_file()
    )


def _check_room(directory: Path, state: TrainState) -> None:
    """Fails before the disk is full: Orbax would say it in a hundred lines of its own."""
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + 2**20  # for indices, generously
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
