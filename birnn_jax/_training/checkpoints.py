"""Checkpoints of a training run, through Orbax."""

import json
import math
import os
import warnings
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, NamedTuple, Self

from .._core.checks import as_size, check_number
from .checkpoint_folder import (
    DamagedError,
    local_folder,
    make_orbax,
    put_aside,
    read,
    read_leaves,
    read_score,
    remove,
    steps_in,
    write,
)
from .checkpoint_leaves import copied, describe
from .state import P, P_co, TrainState, check_state


class Restored(NamedTuple, Generic[P_co]):
    """What `Checkpoints` gives back: the state, and the position saved with it."""

    state: TrainState[P_co]
    position: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run: the newest `keep`, and the best.

    A process killed at any moment, while saving too, leaves every earlier checkpoint whole. One
    process writes; others may read. Arrays are saved whole, however many devices hold them, and
    come back onto any other number of devices.

    Args:
      directory: made if it does not exist. Each checkpoint is a folder in it, named by its step.
      keep: how many of the newest checkpoints are kept; the best is kept besides.
      background: whether `save` returns at once, with a copy of the state on its devices, which
        another thread then writes. A save that fails raises from the next call of a method, or at
        the end of the `with` block.

    Raises:
      ValueError: if `keep` is not positive, or `directory` is an address such as gs://bucket/run.
      TypeError: if `directory` is not a path.
      OSError: if the directory cannot be made.

    Example:
      >>> import tempfile
      >>> directory = tempfile.mkdtemp()
      >>> state = TrainState(jnp.array(0), params={"w": jnp.arange(3.0)}, opt_state=())
      >>> with Checkpoints(directory, keep=1) as checkpoints:
      ...     for step, accuracy in [(100, 0.5), (200, 0.9), (300, 0.8), (400, 0.7)]:
      ...         state = state._replace(step=jnp.array(step))
      ...         checkpoints.save(state, position={"epoch": step // 200}, score=accuracy)
      ...     checkpoints.steps
      [200, 400]

      A new process builds the state it would begin with, and restores onto it:

      >>> with Checkpoints(directory) as checkpoints:
      ...     latest, best = checkpoints.restore_latest(state), checkpoints.restore_best(state)
      >>> int(latest.state.step), latest.position, int(best.state.step)
      (400, {'epoch': 2}, 200)
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, keep: int = 2, background: bool = False
    ):
        """Makes the directory, and reads nothing yet."""
        keep = as_size("keep", keep)
        self._directory = local_folder(directory)
        self._keep = keep
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"Cannot keep checkpoints in {directory}: {error.strerror}. "
                "Choose a directory that can be written."
            ) from error
        self._orbax = make_orbax()
        self._damaged: set[int] = set()
        self._thread = ThreadPoolExecutor(1) if background else None
        self._unfinished: Future[None] | None = None

    def __enter__(self) -> Self:
        """Gives the checkpoints themselves."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Waits for a save that goes on, and releases what Orbax holds."""
        try:
            self.wait()
        finally:
            if self._thread is not None:
                self._thread.shutdown()
            self._orbax.close()

    def wait(self) -> None:
        """Returns once the last save is complete.

        Raises:
          OSError: if it failed, once.
        """
        unfinished, self._unfinished = self._unfinished, None
        if unfinished is not None:
            unfinished.result()

    @property
    def steps(self) -> list[int]:
        """The steps at which there is a checkpoint, oldest first."""
        self.wait()
        return self._steps()

    def _steps(self) -> list[int]:
        return steps_in(self._directory)

    def save(
        self, state: TrainState, *, position: dict[str, Any], score: float | None = None
    ) -> None:
        """Writes a checkpoint at `state.step`, then removes those no longer kept.

        The checkpoint is complete on return, or soon after with `background`; in either case
        `state` may be donated to the next step.

        Args:
          state: its leaves are JAX arrays, random keys, arrays of NumPy or numbers.
          position: where the run stands outside `state`, such as the position of the data
            iterator. It must come back from JSON as it was: str keys, lists for tuples.
          score: bigger is better, for example accuracy on dev; None takes no part in the contest.
            Of equal scores the newest is the best.

        Raises:
          TypeError: if JSON does not give `position` back unchanged, or `state` has other leaves.
          ValueError: if `score` is not finite, or `state.step` is not after the newest checkpoint.
          OSError: if the checkpoint cannot be written, for example to a full disk, or if that
            happened to the one before in the background. The earlier checkpoints are untouched.
        """
        if not hasattr(state, "step"):  # a training may keep more than a `TrainState` does
            check_state(state)
        step = int(state.step)
        newest = max(set(self.steps) - self._damaged, default=-1)
        if step <= newest:
            raise ValueError(
                f"Cannot save step {step}: {self._directory} already holds step {newest}. "
                "Go on from restore_latest, or move the later folders away."
            )
        if score is not None:
            check_number("score", score)
        if score is not None and not math.isfinite(score):
            raise ValueError(f"score must be finite, got {score}; use None for no score.")
        _check_json(position)
        describe(state)
        score = None if score is None else float(score)
        if self._thread is None:
            self._write(step, state, position, score)
        else:
            state = copied(state)  # before the next step overwrites it
            self._unfinished = self._thread.submit(self._write, step, state, position, score)

    def _write(
        self, step: int, state: TrainState, position: dict[str, Any], score: float | None
    ) -> None:
        for damaged in self._damaged & set(self._steps()):
            put_aside(self._folder(damaged))
        self._damaged.clear()
        write(self._folder(step), self._orbax, state, position=position, score=score)
        best, steps = self._best(), self._steps()
        for old in set(steps) - {*steps[-self._keep :], best} - self._damaged:
            remove(self._folder(old))

    def restore_latest(self, like: TrainState[P]) -> Restored[P] | None:
        """Reads the newest checkpoint, bit for bit.

        Args:
          like: a state of the same structure, shapes and dtypes, whose values do not matter. Each
            array comes back onto the devices and sharding it has in `like`, or onto the default
            device where `like` is from `jax.eval_shape`; NumPy arrays and numbers come back as what
            they are in `like`.

        Returns:
          The state and the position, or None if there is no checkpoint. A damaged checkpoint is
          skipped for the one before it, with a warning that names it; the next save renames
          its folder STEP.damaged.

        Raises:
          TypeError: if `like` has a leaf that `save` would refuse, also if there is no checkpoint.
          ValueError: if every checkpoint is damaged, or the newest that is not is of another model.
            No file is changed.
        """
        return self._restore(
            reversed(self.steps),
            like,
            f"No checkpoint in {self._directory} is intact. Move the folder away to begin anew.",
        )

    def leaves(self, step: int) -> dict[str, str]:
        """Dtype and shape of every array of a checkpoint by its name, without reading the arrays.

        Args:
          step: one of `steps`.

        Returns:
          Such as {"params['w']": "float32[3]"}, in the order of the state.

        Raises:
          ValueError: if there is no such checkpoint, or its record cannot be read.

        Example:
          >>> import tempfile
          >>> state = TrainState(jnp.array(0), params={"w": jnp.arange(3.0)}, opt_state=())
          >>> with Checkpoints(tempfile.mkdtemp()) as checkpoints:
          ...     checkpoints.save(state, position={})
          ...     checkpoints.leaves(0)
          {'step': 'int32[]', "params['w']": 'float32[3]'}
        """
        if step not in self.steps:
            found = ", ".join(map(str, self._steps())) or "none"
            raise ValueError(f"{self._directory} has no checkpoint {step}; it has {found}.")
        return read_leaves(self._folder(step))

    def restore_best(self, like: TrainState[P]) -> Restored[P] | None:
        """Reads the checkpoint of the highest score, as `restore_latest` does the newest.

        Args:
          like: as in `restore_latest`.

        Returns:
          The state and the position, or None if no checkpoint has a score. Damaged checkpoints are
          skipped, as in `restore_latest`.

        Raises:
          TypeError: as `restore_latest`.
          ValueError: if every checkpoint that has a score is damaged, or the best that is not is of
            another model.
        """
        return self._restore(
            iter(self._best, None),
            like,
            f"No checkpoint in {self._directory} with a score is intact. Use restore_latest.",
        )

    def _restore(
        self, steps: Iterable[int], like: TrainState[P], none_intact: str
    ) -> Restored[P] | None:
        """The first checkpoint at `steps` that is intact."""
        self.wait()
        describe(like)
        for step in steps:
            try:
                return Restored(*read(self._folder(step), self._orbax, like))
            except DamagedError as error:
                self._pass_over(step, error)
        if self._damaged:
            raise ValueError(none_intact)
        return None

    def _best(self) -> int | None:
        """The step of the highest score, as far as scores can be read."""
        scored = []
        for step in set(self._steps()) - self._damaged:
            try:
                scored.append((read_score(self._folder(step)), step))
            except DamagedError as error:
                self._pass_over(step, error)
        return max((pair for pair in scored if pair[0] is not None), default=(None, None))[1]

    def _pass_over(self, step: int, error: DamagedError) -> None:
        self._damaged.add(step)
        warnings.warn(f"{error} It is skipped.", stacklevel=4)

    def _folder(self, step: int) -> Path:
        return self._directory / str(step)


def _check_json(position: dict[str, Any]) -> None:
    try:
        unchanged = json.loads(json.dumps(position)) == position
    except (TypeError, ValueError) as error:
        raise TypeError(f"position must be JSON: {error}.") from error
    if not unchanged:
        raise TypeError(
            f"position must come back from JSON as it was, got {position}; "
            "use str keys, lists for tuples, and no NaN."
        )
