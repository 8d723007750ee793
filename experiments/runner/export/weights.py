"""The weights of an exported model, as the parameters of the experiment that trained it."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax

from birnn_jax.interop import safetensors
from experiments.runner.run.folder import RUN_OF_EXPORT, RunFolder

WEIGHTS = "model.safetensors"


def exported_params(folder: RunFolder, init_params: Callable[[jax.Array], Any]) -> Any | None:
    """The parameters beside the run of an exported model; None for any other run.

    Args:
      folder: of the run.
      init_params: makes the parameters from a key; called for their structure alone.

    Raises:
      ValueError: if the file is of another model.
    """
    path = weights_of(folder)
    if path is None:
        return None
    like = jax.eval_shape(lambda: init_params(jax.random.key(0)))
    params = read_weights(path, like)
    _require_alike(path, params, like)
    return params


def weights_of(folder: RunFolder) -> pathlib.Path | None:
    """The file beside the run of an exported model; None for any other run."""
    path = folder.path.parent / WEIGHTS
    return path if folder.path.name == RUN_OF_EXPORT and path.exists() else None


def read_weights(path: pathlib.Path, like: Any) -> Any:
    """The parameters in a file; `like` has NamedTuples of all their types."""
    return safetensors.load(path, types=list(_types_in(like))).params


def _require_alike(path: pathlib.Path, params: Any, like: Any) -> None:
    shapes = [jax.tree.map(lambda leaf: leaf.shape, tree) for tree in (params, like)]
    structures = [jax.tree.structure(tree) for tree in (params, like)]
    if structures[0] != structures[1] or shapes[0] != shapes[1]:
        raise ValueError(
            f"{path} holds the weights of another model than its config.json describes: put back "
            "the two files that were exported together."
        )


def _types_in(tree: Any) -> Iterator[type]:
    """The types of all NamedTuples in a tree."""
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    if isinstance(tree, list | tuple):
        if hasattr(tree, "_fields"):
            yield type(tree)
        for child in tree:
            yield from _types_in(child)
