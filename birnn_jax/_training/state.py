"""The state of a training run, every array of which is donated by one step to the next."""

from typing import Any, Generic, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.core import Tracer
from typing_extensions import TypeVar

from .._core.checks import as_array, check_key
from .._core.describe import describe
from .optimizer import check_optimizer

P = TypeVar("P", bound=Any, default=Any)  # parameters
P_co = TypeVar("P_co", covariant=True, default=Any)


class TrainState(NamedTuple, Generic[P_co]):
    """All that a training step changes.

    Example:
      >>> state = init_train_state({"w": jnp.arange(3.0)}, make_optimizer(1e-3))
      >>> int(state.step)
      0
    """

    step: jax.Array  # [] int32, steps done
    params: P_co
    opt_state: optax.OptState


def init_train_state(params: P, optimizer: optax.GradientTransformation) -> TrainState[P]:
    """The state before the first step.

    Every leaf becomes a JAX array of its own, since a step donates each to the next. Weights that
    are one array in two places of `params` become two, which are trained apart: to tie weights,
    keep them in one place and use that twice in the loss.

    Args:
      params: any pytree of arrays. `make_train_step` donates it: keep no other use of it.
      optimizer: from `make_optimizer`, or any optax transformation.

    Example:
      >>> init_train_state({"w": jnp.arange(3.0)}, make_optimizer(1e-3)).params["w"].shape
      (3,)
    """
    check_optimizer(optimizer)
    arrays: Any = jax.tree_util.tree_map_with_path(
        lambda path, leaf: as_array(f"params{jax.tree_util.keystr(path)}", leaf), params
    )
    state = TrainState(jnp.zeros([], jnp.int32), arrays, optimizer.init(arrays))
    # Of a weak type, as `jnp.full(3, 0.0)` has, a leaf would come back from a step in another
    # type, and the second step would be compiled anew.
    return _unshared(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), state))


def check_state(state: Any) -> None:
    """`state` is a `TrainState`."""
    if not isinstance(state, TrainState):
        raise TypeError(
            "state must be a TrainState, as init_train_state makes it of params, got "
            f"{describe(state)}."
        )


class Unshared:
    """A step that donates its state, for a state some of whose arrays may be the same."""

    def __init__(self, step: Any, program: Any):
        """Takes the step, and the same as one function made by `jax.jit`."""
        self.__wrapped__, self._program = step, program

    def __call__(
        self, state: TrainState, batch: Any, key: Any
    ) -> tuple[TrainState, dict[str, Any]]:
        check_state(state)
        check_key(key)
        leaves = jax.tree.leaves(state)
        if len(set(map(id, leaves))) < len(leaves):
            state = _unshared(jax.tree.map(jnp.asarray, state))
        return self.__wrapped__(state, batch, key)

    def __getattr__(self, name: str) -> Any:
        """What a function made by `jax.jit` has, such as `lower`."""
        return getattr(self._program, name)


def _unshared(state: TrainState[P]) -> TrainState[P]:
    """The state, with a copy of every array that shares its memory with one before it."""
    seen = set()

    def own(leaf: jax.Array) -> jax.Array:
        places = _places_in_memory(leaf)
        if seen & places:
            return jnp.copy(leaf)
        seen.update(places)
        return leaf

    return jax.tree.map(own, state)


def _places_in_memory(leaf: Any) -> set[Any]:
    """What two arrays have in common if they are one: as objects, or below `jax.device_put`."""
    places = {id(leaf)}
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    if isinstance(leaf, Tracer) or is_key or not leaf.size:
        return places
    shards = [shard.data for shard in leaf.addressable_shards]
    return places | {(shard.device, shard.unsafe_buffer_pointer()) for shard in shards}
