"""The parameters and the random keys of the layers, as Linen keeps them."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from flax import linen as nn
from jax.typing import DTypeLike

from .._adapters.paths import as_params, to_dicts
from .._core.dtypes import cast_floating
from .._core.types import Params
from .._stacks.layer import Layer
from .._stacks.stack import uses_key


def declare(
    module: nn.Module,
    init: Callable[[jax.Array], Params],
    *,
    param_dtype: DTypeLike | None,
    dtype: DTypeLike | None,
) -> Params:
    """The parameters that `init` makes, which Linen keeps as nested dicts under the name "rnn"."""

    def init_dicts(key: jax.Array) -> Any:
        params = cast_floating(init(new_style(key)), param_dtype)
        return to_dicts(params, is_leaf=lambda node: isinstance(node, nn.meta.AxisMetadata))

    # Not by `param` alone, which would compare what is there with nested dicts leaf by leaf:
    # parameters made elsewhere are NamedTuples, whose leaves come in another order.
    if module.has_variable("params", "rnn"):
        tree = nn.meta.unbox(module.get_variable("params", "rnn"))
    else:
        tree = module.param("rnn", init_dicts)
    like = jax.eval_shape(lambda: nn.meta.unbox(init(jax.random.key(0))))
    return cast_floating(as_params(like, tree), dtype)


def dropout_key(
    module: nn.Module,
    layers: Sequence[Layer],
    rates: Sequence[float],
    deterministic: Sequence[bool | None],
) -> jax.Array | None:
    """The one argument of `stack` that Flax splits in two, a flag and a collection of keys."""
    if not uses_key(layers, *rates):
        return None
    if nn.merge_param("deterministic", *deterministic):
        return None
    return new_style(module.make_rng("dropout"))


def new_style(key: jax.Array) -> jax.Array:
    """Flax hands on what it was given, which may be a `jax.random.PRNGKey`."""
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=jax.random.key_impl(key))
