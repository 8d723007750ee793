"""An optimiser that clips first, and says whether it did."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from typing_extensions import TypeAliasType

from .._core.checks import check_number
from .._core.describe import describe

LearningRate = TypeAliasType("LearningRate", optax.ScalarOrSchedule)  # or a function of the step


class ClipState(NamedTuple):
    """What the clipping of `make_optimizer` saw at the last step."""

    clipped: jax.Array  # [] bool


def make_optimizer(
    learning_rate: LearningRate,
    *,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    method: Callable[[LearningRate], optax.GradientTransformation] = optax.adam,
) -> optax.GradientTransformation:
    """Clips the gradient, then applies `method`.

    Args:
      learning_rate: a number, or an optax schedule from the step to one.
      clip_norm: the largest norm of the whole gradient; a longer one is scaled down to it.
      clip_value: the largest absolute value of each entry of the gradient.
      method: makes the optimiser from the learning rate, for example `optax.sgd`.

    Returns:
      An optax transformation. Its state knows whether the last gradient was clipped. Under
      `optax.multi_transform` each group has its own norm and limit.

    Raises:
      ValueError: if both ways of clipping are asked for, or a limit is not positive.

    Example:
      >>> optimizer = make_optimizer(optax.cosine_decay_schedule(1e-3, 100), clip_norm=1.0)
      >>> optimizer = make_optimizer(0.1, clip_value=0.5, method=optax.sgd)

    References:
      Pascanu et al., On the difficulty of training recurrent neural networks, 2013.
    """
    if not callable(learning_rate):  # a schedule
        check_number("learning_rate", learning_rate)
    if not callable(method):
        raise TypeError(
            "method must be a function of the learning rate, such as optax.adam, got "
            f"{describe(method)}."
        )
    if clip_norm is not None and clip_value is not None:
        raise ValueError("Give clip_norm or clip_value, not both.")
    for name, limit in [("clip_norm", clip_norm), ("clip_value", clip_value)]:
        if limit is None:
            continue
        check_number(name, limit)
        if not limit > 0:
            raise ValueError(f"{name} must be positive, got {limit}; None switches clipping off.")
    if clip_norm is not None:
        clip = _record(optax.clip_by_global_norm(clip_norm), optax.tree.norm, clip_norm)
    elif clip_value is not None:
        clip = _record(optax.clip(clip_value), _largest_entry, clip_value)
    else:
        clip = optax.identity()
    return optax.chain(clip, method(learning_rate))


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            "optimizer must be an optax.GradientTransformation, such as make_optimizer(1e-3), got "
            f"{describe(optimizer)}."
        )


def any_clipped(opt_state: optax.OptState) -> jax.Array:
    """`[]` bool: of several optimisers, such as one for each group of parameters, any one."""
    is_clip = lambda node: isinstance(node, ClipState)  # noqa: E731
    states = [node for node in jax.tree.leaves(opt_state, is_leaf=is_clip) if is_clip(node)]
    return functools.reduce(jnp.logical_or, [state.clipped for state in states], jnp.array(False))


def _record(
    clip: optax.GradientTransformation, size: Callable[[Any], jax.Array], limit: float
) -> optax.GradientTransformation:
    """`clip`, with a state that says whether the size of the gradient was above the limit."""

    def init(params: optax.Params) -> ClipState:
        del params
        return ClipState(clipped=jnp.array(False))

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, ClipState]:
        del state
        clipped, _ = clip.update(updates, optax.EmptyState(), params)
        return clipped, ClipState(clipped=size(updates) > limit)

    return optax.GradientTransformation(init, update)


def _largest_entry(grads: Any) -> jax.Array:
    leaves = [leaf for leaf in jax.tree.leaves(grads) if leaf.size]
    return jnp.max(jnp.stack([jnp.abs(leaf).max() for leaf in leaves])) if leaves else jnp.zeros([])
