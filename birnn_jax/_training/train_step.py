"""Training: an optimiser that clips first, and jit-compiled steps over any loss function."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.sharding import Mesh
from typing_extensions import TypeAliasType, TypeVar

from .._core.checks import as_array, as_size, check_number
from .._core.describe import describe
from .pieces import axis_of, everywhere, gradient_of, in_turns, on_devices, totals_of

P = TypeVar("P", bound=Any, default=Any)  # parameters
P_co = TypeVar("P_co", covariant=True, default=Any)
Batch = TypeVar("Batch", bound=Any, default=Any)

LossFn = Callable[[P, Batch, jax.Array | None], Mapping[str, Any]]  # "loss" is a Total
Metrics = dict[str, Any]
LearningRate = TypeAliasType("LearningRate", optax.ScalarOrSchedule)  # or a function of the step


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
    _check_optimizer(optimizer)
    arrays: Any = jax.tree_util.tree_map_with_path(
        lambda path, leaf: as_array(f"params{jax.tree_util.keystr(path)}", leaf), params
    )
    state = TrainState(jnp.zeros([], jnp.int32), arrays, optimizer.init(arrays))
    # Of a weak type, as `jnp.full(3, 0.0)` has, a leaf would come back from a step in another
    # type, and the second step would be compiled anew.
    return _unshared(jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), state))


def _check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, optax.GradientTransformation):
        raise TypeError(
            "optimizer must be an optax.GradientTransformation, such as make_optimizer(1e-3), got "
            f"{describe(optimizer)}."
        )


def make_train_step(
    loss_fn: LossFn[P, Batch],
    optimizer: optax.GradientTransformation,
    *,
    mesh: Mesh | None = None,
    accumulation_steps: int = 1,
) -> Callable[[TrainState[P], Batch, jax.Array], tuple[TrainState[P], Metrics]]:
    """Makes the function that trains by one batch, jit-compiled once for each shape of batch.

    With a `mesh` or several `accumulation_steps` the batch is cut into pieces of equally many rows,
    and the step is the same up to rounding: the leaves of a batch begin with the axis of rows,
    those without an axis belong to every piece. `loss_fn` sees one piece at a time, all with the
    same `key`. What it draws for a row must therefore depend on a number that the row brings along,
    as in `birnn_jax.dropout` with `[B]` keys made by `fold_in(key, batch["rows"][b])`.

    Args:
      loss_fn: `(params, batch, key) -> {"loss": Total, ...}`; the mean of "loss" is minimised.
        What else it returns comes out with the metrics: totals, or a carry for the next batch, as
        in `birnn_jax.streaming.carry_over`.
        `key` is `fold_in(key, step)` of the key below, so that a run is a function of its seed.
      optimizer: from `make_optimizer`, or any optax transformation.
      mesh: devices that share the rows, along its only axis; each holds all parameters. Their
        gradients are added up once a step, one `all-reduce` a weight. None is one device.
      accumulation_steps: into how many shares each device cuts its rows, to have the memory of one
        of them at a time.

    Returns:
      `train_step(state, batch, key) -> (state, metrics)`. The state given is donated; where one
      array stands in two places of it, as only in a state made by hand, it is copied. The metrics
      are the totals of `loss_fn`, "grad_norm" before clipping, and "clipped", True if any part of
      the optimiser that comes from `make_optimizer` has clipped.

    Raises:
      ValueError: if the mesh has several axes, `accumulation_steps` is not positive or, by the
        step, if the rows of a batch cannot be shared evenly.

    Example:
      >>> def loss_fn(params, batch, key):
      ...     error = jnp.square(batch - params["mean"])
      ...     return {"loss": Total(error.sum(), jnp.array(error.size, error.dtype))}
      >>> optimizer = make_optimizer(0.5, clip_norm=10.0, method=optax.sgd)
      >>> state = init_train_state({"mean": jnp.array(0.0)}, optimizer)
      >>> step = make_train_step(loss_fn, optimizer)
      >>> state, metrics = step(state, jnp.array([1.0, 3.0]), jax.random.key(0))
      >>> float(state.params["mean"]), float(metrics["grad_norm"]), bool(metrics["clipped"])
      (2.0, 4.0, False)

      The same on all devices, which hold the state before the first step as after it:

      >>> mesh = jax.make_mesh((jax.device_count(),), ("data",))
      >>> step = make_train_step(loss_fn, optimizer, mesh=mesh)
      >>> replicated = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
      >>> state, _ = step(jax.device_put(state, replicated), jnp.ones([8]), jax.random.key(0))
      >>> float(state.params["mean"])
      1.0
    """
    _check_optimizer(optimizer)
    accumulation_steps = as_size("accumulation_steps", accumulation_steps)
    if mesh is not None:
        axis_of(mesh)
    gradient = on_devices(in_turns(gradient_of(loss_fn), accumulation_steps), mesh)

    @functools.partial(jax.jit, donate_argnames="state")
    def train_step(
        state: TrainState[P], batch: Batch, key: jax.Array
    ) -> tuple[TrainState[P], Metrics]:
        params: Any = state.params
        grads, sums, rows = gradient(params, batch, jax.random.fold_in(key, state.step))
        with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
            updates, opt_state = optimizer.update(grads, state.opt_state, params)
        params = optax.apply_updates(params, updates)
        metrics = {
            **sums,
            **rows,
            "grad_norm": optax.tree.norm(grads),
            "clipped": _any_clipped(opt_state),
        }
        return everywhere(TrainState(state.step + 1, params, opt_state), mesh), metrics

    return _Unshared(train_step)


def repeat_step(
    train_step: Callable[[Any, Any, jax.Array], tuple[Any, Any]],
) -> Callable[[Any, Any, jax.Array], tuple[Any, Any]]:
    """Makes the function that takes several training steps in one call of the device.

    The steps are those that `train_step` would take one after the other. It pays for models whose
    step is so short that calling it takes as long. Another number of steps compiles anew.

    Args:
      train_step: from `make_train_step`, or any `(state, batch, key) -> (state, metrics)`.

    Returns:
      `several(state, batches, key) -> (state, metrics)`, jit-compiled. Leaves of `batches` are the
      batches of N steps, stacked to `[N, ...]`; so come the metrics. The state given is donated.

    Example:
      >>> from birnn_jax.training import repeat_step
      >>> def train_step(state, batch, key):
      ...     return state + batch, {"state": state}
      >>> state, metrics = repeat_step(train_step)(jnp.array(1), jnp.array([2, 3]), None)
      >>> int(state), metrics["state"].tolist()
      (6, [1, 3])
    """

    def several(state: Any, batches: Any, key: jax.Array) -> tuple[Any, Any]:
        return jax.lax.scan(lambda state, batch: train_step(state, batch, key), state, batches)

    return jax.jit(several, donate_argnums=0)


def make_eval_step(
    loss_fn: LossFn[P, Batch], *, mesh: Mesh | None = None
) -> Callable[[P, Batch], Mapping[str, Any]]:
    """Makes the function that evaluates one batch, jit-compiled: `loss_fn` with `key=None`.

    Args:
      loss_fn: as in `make_train_step`.
      mesh: as in `make_train_step`.

    Returns:
      `eval_step(params, batch) -> totals`; add the totals of all batches leaf by leaf.

    Raises:
      ValueError: as in `make_train_step`.

    Example:
      >>> step = make_eval_step(lambda params, batch, key: {"loss": Total(batch.sum(), params)})
      >>> float(step(jnp.array(2.0), jnp.array([1.0, 3.0]))["loss"].mean)
      2.0
    """
    totals = on_devices(totals_of(loss_fn), mesh)

    def eval_step(params: P, batch: Batch) -> dict[str, Any]:
        piece = totals(params, batch, None)
        return {**piece.sums, **piece.rows}

    return jax.jit(eval_step)


def require_finite(metrics: Metrics, step: int) -> None:
    """Stops a run whose loss or gradient is not finite.

    Args:
      metrics: of one step, from `make_train_step`.
      step: its number, for the message.

    Raises:
      FloatingPointError: naming the step and the values.

    Example:
      >>> from birnn_jax.training import require_finite
      >>> totals = {"loss": Total(jnp.array(jnp.nan), jnp.array(1.0)), "grad_norm": jnp.array(1.0)}
      >>> require_finite(totals, 7)
      Traceback (most recent call last):
      FloatingPointError: Step 7 has loss nan and gradient norm 1.0. Lower the learning rate ...
    """
    # In NumPy, for a guard against transfers refuses what is computed outside of a program.
    total, grad_norm = jax.device_get((metrics["loss"], metrics["grad_norm"]))
    loss, grad_norm = float(total.sum / np.maximum(total.count, 1)), float(grad_norm)
    if not (np.isfinite(loss) and np.isfinite(grad_norm)):
        raise FloatingPointError(
            f"Step {step} has loss {loss} and gradient norm {grad_norm}. Lower the learning rate "
            "or clip the gradient, and start again from the last checkpoint. Labels outside the "
            "classes make a loss NaN too."
        )


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


def _any_clipped(opt_state: optax.OptState) -> jax.Array:
    """`[]` bool: of several optimisers, such as one for each group of parameters, any one."""
    is_clip = lambda node: isinstance(node, ClipState)  # noqa: E731
    states = [node for node in jax.tree.leaves(opt_state, is_leaf=is_clip) if is_clip(node)]
    return functools.reduce(jnp.logical_or, [state.clipped for state in states], jnp.array(False))


class _Unshared:
    """A step that donates its state, for a state some of whose arrays may be the same."""

    def __init__(self, step: Any):
        self.__wrapped__ = step

    def __call__(self, state: TrainState, batch: Any, key: Any) -> tuple[TrainState, Metrics]:
        leaves = jax.tree.leaves(state)
        if len(set(map(id, leaves))) < len(leaves):
            state = _unshared(jax.tree.map(jnp.asarray, state))
        return self.__wrapped__(state, batch, key)

    def __getattr__(self, name: str) -> Any:
        """What a function made by `jax.jit` has, such as `lower`."""
        return getattr(self.__wrapped__, name)


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
