"""A training that starts from a trained model: its parameters, more data, parts of it frozen.

New words, characters and labels stand behind those of before. So a parameter that has rows for them
has its old values in its leading corner, and fresh ones behind.
"""

import dataclasses
import difflib
import fnmatch
import functools
import hashlib
import operator
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro

from birnn_jax.checkpoint import Checkpoints
from experiments.runner.export.weights import WEIGHTS, read_weights, weights_of
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.options import Options, Words


class Start(Options):
    """What a training starts from, and what of it stays."""

    run: Annotated[pathlib.Path | None, tyro.conf.arg(name="from")] = None
    """Run folder of a trained model, or folder of an exported one, to start from, with its best
    parameters; new words and labels get newly initialised ones. Settings and data files that are
    not given are those of that run."""
    freeze: Words = ()
    """Names of parameters that are not trained, such as words, or patterns with * and ?, such as
    *.bwd.*. The name of a group means all parameters in it. An unknown name gives an error that
    lists all names."""


class Origin(NamedTuple):
    """The trained model that a training starts from."""

    folder: RunFolder
    params: Any

    @property
    def digest(self) -> str:
        """Tells these parameters from others."""
        total = hashlib.sha256()
        for name, leaf in named_leaves(self.params).items():
            total.update(f"{name} {leaf.dtype} {leaf.shape} ".encode())
            total.update(np.asarray(leaf).tobytes())
        return total.hexdigest()[:16]


def load_origin(folder: RunFolder, training: loop.Training) -> Origin:
    """The parameters with which a run did best, which may have fewer rows than those of `training`.

    They are those of its checkpoint, or of an exported model.

    Raises:
      ValueError: if there is neither, or they have other names.
    """
    state = loop.shapes_of(training)
    path = weights_of(folder)
    if path is not None:
        params = read_weights(path, state.params)
        names, found = named_leaves(state.params), named_leaves(params)
        for name in names | found:
            if name not in found:
                raise _another_model(folder, f"it has no parameter {name}")
            if name not in names:
                raise _another_model(folder, f"it has a further parameter, {name}")
        return Origin(folder, params)
    if not (folder.path / "checkpoints").is_dir():
        raise ValueError(
            f"{folder.path} has neither checkpoints nor {WEIGHTS} beside it: give the run folder "
            "of a training, or a folder that the command export wrote."
        )
    with Checkpoints(folder.path / "checkpoints") as checkpoints:
        if not checkpoints.steps:
            raise ValueError(f"{folder.path} has no checkpoint yet. Resume its training first.")
        found = checkpoints.leaves(checkpoints.steps[-1])

        def of_checkpoint(path: Any, leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            name = jax.tree_util.keystr(path).lstrip(".")
            if name not in found:
                raise _another_model(folder, f"it has no parameter {name}")
            return jax.ShapeDtypeStruct(_shape(found[name]), leaf.dtype)

        best = checkpoints.restore_best(jax.tree_util.tree_map_with_path(of_checkpoint, state))
    if best is None:
        raise ValueError(f"{folder.path} has no checkpoint yet. Resume its training first.")
    return Origin(folder, training.evaluated_params(best.state))


def started_from(training: loop.Training, origin: Origin, grows: Sequence[str]) -> loop.Training:
    """The training whose parameters begin as those of the origin.

    Args:
      training: with fresh parameters.
      origin: the trained model.
      grows: names of the parameters with rows for words, characters or labels, as in `freeze`.

    Raises:
      ValueError: names a parameter of another shape.
    """
    fresh = jax.eval_shape(lambda: training.init_params(jax.random.key(0)))
    old = named_leaves(origin.params)
    for name, leaf in named_leaves(fresh).items():
        shapes = old[name].shape, leaf.shape
        may_grow = any(_matches(name, pattern) for pattern in grows)
        has_grown = len(shapes[0]) == len(shapes[1]) and all(map(operator.le, *shapes))
        if shapes[0] != shapes[1] and not (may_grow and has_grown):
            raise ValueError(
                f"{name} has shape {list(shapes[0])} in {origin.folder.path} and {list(shapes[1])} "
                f"with these settings. {_SAME_MODEL}"
            )

    def init_params(key: jax.Array) -> Any:
        return jax.tree.map(_in_corner, origin.params, training.init_params(key))

    return dataclasses.replace(training, init_params=init_params)


def frozen(training: loop.Training, patterns: Sequence[str]) -> tuple[loop.Training, list[str]]:
    """The training in which parameters of these names stay as they are, and all their names.

    Raises:
      ValueError: if a pattern is no name of a parameter, or nothing is left to learn.
    """
    names = [*named_leaves(jax.eval_shape(lambda: training.init_params(jax.random.key(0))))]
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names):
            raise ValueError(_unknown(pattern, names))
    chosen = [name for name in names if any(_matches(name, pattern) for pattern in patterns)]
    if len(chosen) == len(names):
        raise ValueError("--freeze leaves no parameter to train. Name fewer parameters.")
    if not chosen:
        return training, []

    def where_frozen(function: Callable[[Any], Any], tree: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: function(leaf) if _name(path) in chosen else leaf, tree
        )

    @functools.wraps(training.loss_fn)
    def loss_fn(params: Any, *rest: Any) -> Any:
        return training.loss_fn(where_frozen(jax.lax.stop_gradient, params), *rest)

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        updates, state = training.optimizer.update(updates, state, params, **extra)
        return where_frozen(jnp.zeros_like, updates), state

    optimizer = optax.GradientTransformation(training.optimizer.init, update)
    return dataclasses.replace(training, loss_fn=loss_fn, optimizer=optimizer), chosen


def named_leaves(params: Any) -> dict[str, Any]:
    """The parameters by their names.

    Example:
      >>> named_leaves({"words": 1, "tagger": ({"w": 2}, 3)})
      {'tagger.0.w': 2, 'tagger.1': 3, 'words': 1}
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {_name(path): leaf for path, leaf in leaves}


_SAME_MODEL = "Use the model settings of that run."


def _another_model(folder: RunFolder, reason: str) -> ValueError:
    return ValueError(f"{folder.path} is a run of another model: {reason}. {_SAME_MODEL}")


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _matches(name: str, pattern: str) -> bool:
    """Whether a name, or the name of a group that it is in, is of a pattern."""
    parts = name.split(".")
    groups = (".".join(parts[: i + 1]) for i in range(len(parts)))
    return any(fnmatch.fnmatchcase(group, pattern) for group in groups)


def _unknown(pattern: str, names: Sequence[str]) -> str:
    groups = {
        ".".join(name.split(".")[: i + 1]) for name in names for i in range(name.count(".") + 1)
    }
    close = difflib.get_close_matches(pattern, sorted(groups), n=3, cutoff=0.5)
    meant = f" Did you mean {', '.join(close)}?" if close else ""
    return f"There is no parameter {pattern!r} to freeze.{meant} Available: {', '.join(names)}."


def _shape(described: str) -> tuple[int, ...]:
    """The shape in a description such as float32[2, 3]."""
    return tuple(map(int, re.findall(r"\d+", described.partition("[")[2])))


def _in_corner(old: jax.Array, fresh: jax.Array) -> jax.Array:
    """The fresh values with the old ones in their leading corner."""
    return fresh.at[tuple(slice(0, size) for size in old.shape)].set(old)
