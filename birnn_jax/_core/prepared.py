"""Parameters of a direction with a copy of their weights in the layout of the native kernels."""

import functools
from typing import Any, NamedTuple

import jax
from jax.custom_derivatives import SymbolicZero

from .types import Params


class PreparedParams(NamedTuple):
    """Parameters of a cell that `serving.prepare` made ready for many calls.

    They stand in the place of `params` in every forward run, and are not differentiated. They hold
    for the machine that made them: save the parameters that they were made from.
    """

    params: Params  # those of the cell
    packed: jax.Array | None  # the weights as the native kernels read them; None without kernels


def unprepared(tree: Any) -> Any:
    """The tree with the parameters of cells in place of what was prepared."""
    is_prepared = lambda node: isinstance(node, PreparedParams)  # noqa: E731
    return jax.tree.map(
        lambda node: node.params if is_prepared(node) else node, tree, is_leaf=is_prepared
    )


def refuse_prepared(tree: Any) -> None:
    """Raises a ValueError for prepared parameters, where parameters are saved or exported."""
    is_prepared = lambda node: isinstance(node, PreparedParams)  # noqa: E731
    if any(map(is_prepared, jax.tree.leaves(tree, is_leaf=is_prepared))):
        raise ValueError(
            "Prepared parameters cannot be saved or exported: their weights are packed for this "
            "machine. Use the parameters that were given to serving.prepare."
        )


def open_prepared(params: Any) -> PreparedParams:
    """What the kernels get, of prepared parameters or plain ones."""
    if not isinstance(params, PreparedParams):
        return PreparedParams(params, None)
    return without_derivative(
        "Prepared parameters have no gradient: they hold a copy of the weights that no update "
        "would change. Differentiate the parameters that were given to serving.prepare.",
        params,
    )


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def without_derivative(why: str, tree: Any) -> Any:
    """The tree, which raises a TypeError where somebody differentiates by it."""
    del why
    return tree


@functools.partial(without_derivative.defjvp, symbolic_zeros=True)
def _refuse(why: str, primals: Any, tangents: Any) -> Any:
    if not all(isinstance(tangent, SymbolicZero) for tangent in jax.tree.leaves(tangents)):
        raise TypeError(why)
    return primals[0], tangents[0]
