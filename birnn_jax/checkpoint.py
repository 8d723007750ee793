"""Checkpoints of a training run, through Orbax."""

import json
import math
import os
from pathlib import Path
from typing import Any, NamedTuple, Self

import orbax.checkpoint as ocp

from ._checkpoint_folder import read, read_score, remove, write
from ._train import TrainState


class Restored(NamedTuple):
    """What `Checkpoints` gives back: the state, and the position saved with it."""

    state: TrainState
    position: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run: the newest `keep`, and the best.

    A process killed at any moment, while saving too, leaves every earlier checkpoint whole. One
    process writes; others may read.

    Args:
      directory: made if it does not exist. Each checkpoint is a folder in it, named by its step.
      keep: how many of the newest checkpoints are kept; the best is kept besides.

    Raises:
      ValueError: if `keep` is not positive.
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

    def __init__(self, directory: str | os.PathLike[str], *, keep: int = 2):
        """Makes the directory, and reads nothing yet."""
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}.")
        self._directory = Path(directory).absolute()
        self._keep = keep
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"Cannot keep checkpoints in {directory}: {error.strerror}. "
                "Choose a directory that can be written."
            ) from error
        self._orbax = ocp.Checkpointer(ocp.StandardCheckpointHandler())

    def __enter__(self) -> Self:
        """Gives the checkpoints themselves."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Releases what Orbax holds. Nothing is left to write: a save is complete on return."""
        self._orbax.close()

    @property
    def steps(self) -> list[int]:
        """The steps at which there is a checkpoint, oldest first."""
        names = [path.name for path in self._directory.iterdir()]
        return sorted(int(name) for name in names if name.isdecimal())

    def save(
        self, state: TrainState, *, position: dict[str, Any], score: float | None = None
    ) -> None:
        """Writes a checkpoint at `state.step`, then removes those no longer kept.

        The checkpoint is complete on return, and `state` may be donated to the next step.

        Args:
          state: its leaves are JAX arrays.
          position: where the run stands outside `state`, such as the position of the data
            iterator. It must come back from JSON as it was: str keys, lists for tuples.
          score: bigger is better, for example accuracy on dev; None takes no part in the contest.
            Of equal scores the newest is the best.

        Raises:
          TypeError: if JSON does not give `position` back unchanged.
          ValueError: if `score` is not finite, or `state.step` is not after the newest checkpoint.
          OSError: if the checkpoint cannot be written, for example to a full disk. The earlier
            checkpoints are untouched.
        """
        step, newest = int(state.step), max(self.steps, default=-1)
        if step <= newest:
            raise ValueError(
                f"Cannot save step {step}: {self._directory} already holds step {newest}. "
                "Go on from restore_latest, or move the later folders away."
            )
        if score is not None and not math.isfinite(score):
            raise ValueError(f"score must be finite, got {score}; use None for no score.")
        _check_json(position)
        score = None if score is None else float(score)
        write(self._folder(step), self._orbax, state, position=position, score=score)
        for old in set(self.steps) - {*self.steps[-self._keep :], self._best()}:
            remove(self._folder(old))

    def restore_latest(self, like: TrainState) -> Restored | None:
        """Reads the newest checkpoint, bit for bit.

        Args:
          like: a state of the same structure, shapes and dtypes, whose values do not matter. Each
            array comes back onto the devices and sharding it has in `like`, or onto the default
            device where `like` is from `jax.eval_shape`.

        Returns:
          The state and the position, or None if there is no checkpoint.

        Raises:
          ValueError: if the checkpoint is damaged, or holds another model. No file is changed.
        """
        return self._restore(max(self.steps, default=None), like)

    def restore_best(self, like: TrainState) -> Restored | None:
        """Reads the checkpoint of the highest score, as `restore_latest` does the newest.

        Args:
          like: as in `restore_latest`.

        Returns:
          The state and the position, or None if no checkpoint has a score.

        Raises:
          ValueError: as in `restore_latest`.
        """
        return self._restore(self._best(), like)

    def _restore(self, step: int | None, like: TrainState) -> Restored | None:
        return None if step is None else Restored(*read(self._folder(step), self._orbax, like))

    def _best(self) -> int | None:
        scores = {step: read_score(self._folder(step)) for step in self.steps}
        scored = [(score, step) for step, score in scores.items() if score is not None]
        return max(scored)[1] if scored else None

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
