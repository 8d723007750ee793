"""Parameters as nested dicts, in which each array stands at a path of names."""

from collections.abc import Callable, Mapping
from typing import Any

import jax

from .._core.types import Params


def to_dicts(params: Params, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Converts parameters to nested dicts that are named by fields, keys and positions.

    This is the layout in which the layers for Linen keep their parameters. What is None has no
    entry, and an array that is alone stays as it is.

    Args:
      params: any pytree, for example from `init_bidirectional` or `init_stack`.
      is_leaf: True for nodes that stay as they are, as in `jax.tree.map`.

    Returns:
      Nested dicts of the arrays.

    Example:
      >>> from birnn_jax.linen import to_dicts
      >>> params = init_bidirectional(ELMAN, jax.random.key(0), input_size=3, hidden_size=4)
      >>> jax.tree.map(jnp.shape, to_dicts(params)["bwd"])
      {'b': (4,), 'w_h': (4, 4), 'w_x': (3, 4)}
    """
    tree: dict[str, Any] = {}
    for path, leaf in jax.tree.leaves_with_path(params, is_leaf=is_leaf):
        if not path:
            return leaf
        *above, last = (jax.tree_util.keystr((key,), simple=True) for key in path)
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = leaf
    return tree


def from_dicts(like: Params, tree: Any) -> Params:
    """Converts nested dicts back to the containers of `like`: the inverse of `to_dicts`.

    Args:
      like: parameters with the containers and the shapes that are wanted, or their shapes alone
        (`jax.eval_shape`).
      tree: nested dicts, lists or tuples, in which the arrays have the names that `to_dicts` gives
        them. Entries that are None count as absent.

    Returns:
      The arrays of `tree` in the containers of `like`.

    Raises:
      ValueError: if an array is missing, surplus or of another shape.

    Example:
      >>> from birnn_jax.linen import from_dicts, to_dicts
      >>> params = init_bidirectional(LSTM, jax.random.key(0), input_size=3, hidden_size=4)
      >>> from_dicts(params, to_dicts(params)).bwd.w_x.shape
      (3, 16)
    """
    want, got = _by_name(like), _by_name(tree)
    for word, names in (("lack", want.keys() - got.keys()), ("have", got.keys() - want.keys())):
        if names:
            raise ValueError(
                f"The parameters {word} {', '.join(sorted(names))}; those of the layer are "
                f"{', '.join(sorted(want))}. Give what a layer with the same settings made."
            )
    _check_shapes(want, got)
    return jax.tree.unflatten(jax.tree.structure(like), [got[name] for name in want])


def as_params(like: Params, tree: Any) -> Params:
    """Parameters from what a collection of variables holds: nested dicts, or `params` themselves.

    What is neither is left to the checks of the function that computes.
    """
    if isinstance(tree, Mapping | list):
        return from_dicts(like, tree)
    if jax.tree.structure(tree) == jax.tree.structure(like):
        _check_shapes(_by_name(like), _by_name(tree))
    return tree


def _by_name(tree: Any) -> dict[str, Any]:
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _check_shapes(want: Mapping[str, Any], got: Mapping[str, Any]) -> None:
    for name, leaf in want.items():
        if got[name].shape != leaf.shape:
            raise ValueError(
                f"The parameter {name or 'of the layer'} has shape {got[name].shape}, but sizes of "
                f"the layer and features of xs make it {leaf.shape}. Use the sizes that the "
                "parameters were made with."
            )
