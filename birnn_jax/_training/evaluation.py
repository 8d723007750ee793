"""Means of totals, over whole data sets, and when they say that a training may stop."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from .._core.checks import as_size
from .._core.describe import describe
from .._losses import Total


class Batches(Protocol):
    """Batches by their number: a list, a dataset of `birnn_jax.data` or of grain.

    Example:
      >>> from birnn_jax.training import Batches
      >>> dev: Batches = [jnp.arange(3.0), jnp.arange(2.0)]
      >>> len(dev)
      2
    """

    def __len__(self) -> int:
        """How many there are, in one epoch."""
        ...

    def __getitem__(self, index: int, /) -> Any:
        """Batch `index`, always the same."""
        ...


def evaluate(
    eval_step: Callable[[Any, Any], Mapping[str, Any]], params: Any, batches: Batches
) -> dict[str, float]:
    """Evaluates a data set: the means of all totals, each over all batches together.

    Args:
      eval_step: from `make_eval_step`; its values must be totals.
      params: of the model.
      batches: of one epoch.

    Returns:
      By name the mean of each total, as a number of Python.

    Raises:
      ValueError: if there is no batch.

    Example:
      >>> from birnn_jax.training import evaluate
      >>> step = make_eval_step(
      ...     lambda params, batch, key: {"loss": Total((batch * params).sum(), batch.size)}
      ... )
      >>> evaluate(step, jnp.array(2.0), [jnp.array([1.0, 2.0]), jnp.array([6.0])])
      {'loss': 6.0}
    """
    check_batches("batches", batches)
    sums: Any = None
    for number in range(len(batches)):
        totals = eval_step(params, jax.device_put(batches[number]))
        sums = totals if sums is None else jax.tree.map(jnp.add, sums, totals)
    return means_of(sums)


def means_of(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of a step as numbers of Python: totals as their means, others as they are.

    Args:
      metrics: from a train or evaluation step: totals and scalars.

    Example:
      >>> from birnn_jax.training import means_of
      >>> means_of({"loss": Total(jnp.array(3.0), jnp.array(2.0)), "clipped": jnp.array(True)})
      {'loss': 1.5, 'clipped': True}
    """
    # In NumPy, for a guard against transfers refuses what is computed outside of a program.
    fetched = zip(metrics, jax.device_get(list(metrics.values())), strict=True)
    means = {name: _mean(t) if isinstance(t, Total) else t for name, t in fetched}
    return {name: np.asarray(value).item() for name, value in means.items()}


def check_batches(name: str, batches: Any) -> None:
    """`batches` are by their number, at least one."""
    if not (hasattr(batches, "__len__") and hasattr(batches, "__getitem__")):
        raise TypeError(
            f"{name} must have a length and return batch i for index i, like a list or a dataset "
            f"of birnn_jax.data, got {describe(batches)}. Turn an iterator into a list."
        )
    if not len(batches):
        raise ValueError(f"{name} has no batch.")


def should_stop(
    scores: Sequence[float], *, patience: int | None = None, enough: float = math.inf
) -> bool:
    """Whether a training may stop early: enough is reached, or nothing new has come for long.

    A function of all scores so far, so that a training that is resumed stops where it would have.

    Args:
      scores: of all evaluations, the first one first; bigger is better.
      patience: evaluations without a new best after which the training stops; None never does.
      enough: a score at which the training is at its end.

    Raises:
      ValueError: if `patience` is not positive.

    Example:
      >>> from birnn_jax.training import should_stop
      >>> [should_stop([0.5, 0.8, 0.7, 0.8][:n], patience=2) for n in range(5)]
      [False, False, False, False, True]

    References:
      Prechelt, Early Stopping - But When?, 1998.
    """
    if patience is not None:
        patience = as_size("patience", patience)
    if not scores:
        return False
    best = max(scores)
    waited = len(scores) - 1 - [*scores].index(best)
    return best >= enough or (patience is not None and waited >= patience)


def _mean(total: Total) -> np.ndarray:
    """`Total.mean`, of numbers that are not on a device."""
    total_sum, count = map(np.asarray, total)
    dtype = jnp.promote_types(total_sum.dtype, jnp.float32)
    return total_sum.astype(dtype) / np.where(count == 0, 1, count).astype(dtype)
