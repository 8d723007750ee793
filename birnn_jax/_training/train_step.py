"""Training: jit-compiled steps over any loss function."""

import contextlib
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax
from jax.sharding import Mesh
from typing_extensions import TypeVar

from .._core.checks import as_size
from .._core.describe import describe
from ..kernels.keys import fold_in_numbers
from .evaluation import means_of
from .optimizer import any_clipped, check_optimizer
from .pieces import Piece, axis_of, everywhere, gradient_of, in_turns, on_devices, totals_of
from .state import P, TrainState, Unshared

Batch = TypeVar("Batch", bound=Any, default=Any)

LossFn = Callable[[P, Batch, jax.Array | None], Mapping[str, Any]]  # "loss" is a Total
Metrics = dict[str, Any]


def make_train_step(
    loss_fn: LossFn[P, Batch],
    optimizer: optax.GradientTransformation,
    *,
    mesh: Mesh | None = None,
    accumulation_steps: int = 1,
    compiler_options: Mapping[str, Any] | None = None,
) -> Callable[[TrainState[P], Batch, jax.Array], tuple[TrainState[P], Metrics]]:
    """Makes the function that trains by one batch, jit-compiled once for each shape of batch.

    The gradient and the update are two programs, so that the second, which knows nothing of the
    batch, is compiled once for all shapes. Inside another `jax.jit`, and by `lower`, they are one.

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
      compiler_options: of XLA, as `jax.jit` takes them; a step that has some is called from Python,
        not inside another `jax.jit`. `fit` gives those of `quick_compilation()`.

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
    check_optimizer(optimizer)
    _check_loss_fn(loss_fn)
    accumulation_steps = as_size("accumulation_steps", accumulation_steps)
    if mesh is not None:
        axis_of(mesh)
    gradient = on_devices(in_turns(gradient_of(loss_fn), accumulation_steps), mesh)

    def differentiate(params: P, step: jax.Array, batch: Batch, key: jax.Array) -> Piece:
        return gradient(params, batch, fold_in_numbers(key, step))

    def update(state: TrainState[P], grads: P) -> tuple[TrainState[P], Metrics]:
        params: Any = state.params
        with jax.numpy_dtype_promotion("standard"):  # optax counts steps in integers
            updates, opt_state = optimizer.update(grads, state.opt_state, params)
        params = optax.apply_updates(params, updates)
        metrics = {"grad_norm": optax.tree.norm(grads), "clipped": any_clipped(opt_state)}
        return everywhere(TrainState(state.step + 1, params, opt_state), mesh), metrics

    def compose(differentiate: Callable, update: Callable) -> Callable:
        def train_step(
            state: TrainState[P], batch: Batch, key: jax.Array
        ) -> tuple[TrainState[P], Metrics]:
            grads, sums, rows = differentiate(state.params, state.step, batch, key)
            state, metrics = update(state, grads)
            return state, {**sums, **rows, **metrics}

        return train_step

    compiled = functools.partial(jax.jit, compiler_options=_as_dict(compiler_options))
    donating = functools.partial(compiled, donate_argnames="state")
    return Unshared(
        compose(compiled(differentiate), donating(update)), donating(compose(differentiate, update))
    )


def repeat_step(
    train_step: Callable[[Any, Any, jax.Array], tuple[Any, Any]],
    *,
    compiler_options: Mapping[str, Any] | None = None,
) -> Callable[[Any, Any, jax.Array], tuple[Any, Any]]:
    """Makes the function that takes several training steps in one call of the device.

    The steps are those that `train_step` would take one after the other. It pays for models whose
    step is so short that calling it takes as long. Another number of steps compiles anew.

    Args:
      train_step: from `make_train_step` without options, or any
        `(state, batch, key) -> (state, metrics)`.
      compiler_options: as in `make_train_step`.

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

    return jax.jit(several, donate_argnums=0, compiler_options=_as_dict(compiler_options))


def make_eval_step(
    loss_fn: LossFn[P, Batch],
    *,
    mesh: Mesh | None = None,
    compiler_options: Mapping[str, Any] | None = None,
) -> Callable[[P, Batch], Mapping[str, Any]]:
    """Makes the function that evaluates one batch, jit-compiled: `loss_fn` with `key=None`.

    Args:
      loss_fn: as in `make_train_step`.
      mesh: as in `make_train_step`.
      compiler_options: as in `make_train_step`.

    Returns:
      `eval_step(params, batch) -> totals`; add the totals of all batches leaf by leaf.

    Raises:
      ValueError: as in `make_train_step`.

    Example:
      >>> step = make_eval_step(lambda params, batch, key: {"loss": Total(batch.sum(), params)})
      >>> float(step(jnp.array(2.0), jnp.array([1.0, 3.0]))["loss"].mean)
      2.0
    """
    _check_loss_fn(loss_fn)
    totals = on_devices(totals_of(loss_fn), mesh)

    def eval_step(params: P, batch: Batch) -> dict[str, Any]:
        if isinstance(params, TrainState):
            raise TypeError("params must be parameters, got TrainState: give its field params.")
        piece = totals(params, batch, None)
        return {**piece.sums, **piece.rows}

    return jax.jit(eval_step, compiler_options=_as_dict(compiler_options))


def quick_compilation() -> dict[str, Any]:
    """Options with which a step compiles in less time on a CPU, and runs as fast.

    LLVM optimises at its second level and not at its third, and XLA writes fused loops by its older
    code generator, where it still has that. A step may round in another way.

    Returns:
      `compiler_options` for `make_train_step`, `make_eval_step`, `repeat_step` and `jax.jit`; none
      on other devices, and none where `jax_disable_most_optimizations` asks for less than that
      already.

    Example:
      >>> from birnn_jax.training import quick_compilation
      >>> step = make_train_step(
      ...     lambda params, batch, key: {"loss": Total(params.sum(), batch.size)},
      ...     make_optimizer(0.1), compiler_options=quick_compilation(),
      ... )
    """
    if jax.default_backend() != "cpu" or jax.config.read("jax_disable_most_optimizations"):
        return {}
    older = {"xla_cpu_use_fusion_emitters": False}
    return {"xla_backend_optimization_level": 2, **(older if _is_known(*older) else {})}


@functools.cache
def _is_known(option: str) -> bool:
    """Whether this XLA has an option, which newer ones may drop."""
    try:
        jax.jit(lambda: 0, compiler_options={option: False}).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def _as_dict(options: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """For `jax.jit`, to which no options are None."""
    return dict(options) if options else None


def require_finite(metrics: Metrics, step: int) -> None:
    """Stops a run whose loss or gradient is not finite.

    Args:
      metrics: of one step, from `make_train_step`.
      step: its number, for the message.

    Raises:
      FloatingPointError: naming the step and the values.
      TypeError: if `metrics` are not those of a training step.

    Example:
      >>> from birnn_jax.training import require_finite
      >>> totals = {"loss": Total(jnp.array(jnp.nan), jnp.array(1.0)), "grad_norm": jnp.array(1.0)}
      >>> require_finite(totals, 7)
      Traceback (most recent call last):
      FloatingPointError: Step 7 has loss nan and gradient norm 1.0. Lower the learning rate ...
    """
    if not isinstance(metrics, Mapping) or not {"loss", "grad_norm"} <= metrics.keys():
        raise TypeError(
            "metrics must be those of a step from make_train_step, with loss and grad_norm, got "
            f"{describe(metrics)}."
        )
    means = means_of({name: metrics[name] for name in ("loss", "grad_norm")})
    loss, grad_norm = means["loss"], means["grad_norm"]
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        raise FloatingPointError(
            f"Step {step} has loss {loss} and gradient norm {grad_norm}. Lower the learning rate "
            "or clip the gradient, and start again from the last checkpoint. Labels outside the "
            "classes make a loss NaN too."
        )


def _check_loss_fn(loss_fn: Any) -> None:
    got = describe(loss_fn)
    if callable(loss_fn):
        try:
            signature = inspect.signature(loss_fn)
        except ValueError:  # of what is not written in Python
            return
        with contextlib.suppress(TypeError):
            signature.bind(None, None, None)
            return
        got = f"{got} of {signature}"
    raise TypeError(f"loss_fn must be a function of (params, batch, key), got {got}.")
