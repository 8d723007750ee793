"""The parameters and the random keys of the layers, as NNX keeps them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import nnx
from jax.typing import DTypeLike

from .._core.describe import describe
from .._core.dtypes import cast_floating
from .._core.types import Params
from .._stacks.layer import Layer
from .._stacks.stack import uses_key


def make_variables(
    init: Callable[[jax.Array], Params], rngs: nnx.Rngs | None, dtype: DTypeLike | None
) -> Params:
    """The parameters that `init` makes, with an `nnx.Param` for each array."""
    if rngs is None:
        raise ValueError("rngs draws the parameters: give rngs=nnx.Rngs(0) or another seed.")
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"rngs must be nnx.Rngs, such as nnx.Rngs(0), got {describe(rngs)}.")
    # One Param for each array: from a Param that holds the whole tree, `nnx.Optimizer` loses the
    # NamedTuples in its first update and fails in its second.
    return nnx.data(jax.tree.map(nnx.Param, cast_floating(init(rngs.params()), dtype)))


def dropout_key(
    dropout: nnx.Dropout,
    layers: Sequence[Layer],
    rates: Sequence[float],
    deterministic: bool | None,
    rngs: nnx.Rngs | nnx.RngStream | jax.Array | None,
) -> jax.Array | None:
    """The one argument of `stack` that Flax splits in two, a flag and a source of keys."""
    if not uses_key(layers, *rates):
        return None
    if dropout.deterministic if deterministic is None else deterministic:
        return None
    source: Any = dropout.rngs if rngs is None else rngs
    match source:
        case nnx.Rngs():
            return source.dropout()
        case nnx.RngStream():
            return source()
        case jax.Array():
            return nnx.RngStream(source, tag="dropout").key[...]  # of the new style
    raise TypeError(f"rngs must be nnx.Rngs, one of its streams or a key, got {describe(source)}.")
