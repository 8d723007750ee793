"""Training runs that can be killed at any moment and go on bit for bit where they were.

A run is a function of its seed: the key of step n is `fold_in(key, n)`, batch n is a function of
(seed, n), and whatever else a step changes is in the checkpoint. Metrics of a step are fetched
after the next step has been dispatched, so that the device does not wait for the host.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from rich.console import Console

from birnn_jax import Total, init_train_state, make_eval_step, make_train_step
from birnn_jax.checkpoint import Checkpoints
from birnn_jax.data import prefetch
from birnn_jax.training import (
    evaluate,
    means_of,
    quick_compilation,
    repeat_step,
    require_finite,
    should_stop,
)
from experiments.runner.data.batches import Source
from experiments.runner.devices.machines import current_place
from experiments.runner.devices.place import ONE_DEVICE, Place
from experiments.runner.devices.processes import Interrupted, agree, meet, part, require_alike
from experiments.runner.run.carried import (
    CarriedState,
    make_carried_eval_step,
    make_carried_train_step,
)
from experiments.runner.run.dispatch import steps_of
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.interruption import Interruption
from experiments.runner.run.recorder import Recorder

LossFn = Callable[[Any, Any, jax.Array | None], Mapping[str, Total]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """What the runner has to know of an experiment."""

    loss_fn: Callable  # a LossFn; with an initial carry a CarriedLossFn, see `carried`
    optimizer: optax.GradientTransformation
    init_params: Callable[[jax.Array], Any]
    train: Source  # one batch a dispatch; its length is the length of the run
    dev: Source  # without a batch, `score` sees the step alone
    steps_per_evaluation: int  # a multiple of steps_per_dispatch
    patience: int  # evaluations without a new best before the run stops early
    seed: int
    score: Callable[[Mapping[str, float]], float]  # of metrics on dev and step; bigger is better
    evaluated_params: Callable[[Any], Any] = lambda state: state.params
    initial_carry: Any = None  # None where no step hands anything on but the state
    enough: float = math.inf  # a score on dev at which the run is at its end
    steps_per_dispatch: int = 1  # with more, a batch of `train` is that many, stacked

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return len(self.train) * self.steps_per_dispatch

    @property
    def axis_of_rows(self) -> int:
        """Where the leaves of a batch of `train` have their rows."""
        return int(self.steps_per_dispatch > 1)


def fit(folder: RunFolder, training: Training, console: Console) -> None:
    """Trains to the end, from the newest checkpoint in the folder if there is one.

    What cannot be saved is said and tried again at the next evaluation; the training goes on.

    Raises:
      FloatingPointError: if the loss is not finite; names the step.
      Interrupted: after an interruption, once everything is saved; says how to go on.
      OSError: if something cannot be written at the end; what was saved before is kept.
      PartDone: in every process but the first, at the end.
      ValueError: if every checkpoint is damaged or the newest is of another model, or if processes
        were started with different settings.
    """
    place = current_place()
    require_alike(folder.identity | {"accumulation_steps": place.accumulation_steps})
    state = initial_state(training)
    batches = prefetch(place.share(training.train, training.axis_of_rows))
    with Interruption(console) as interruption, contextlib.ExitStack() as stack:
        if place.is_first:
            checkpoints = stack.enter_context(
                Checkpoints(folder.path / "checkpoints", background=True)
            )
            restored = checkpoints.restore_latest(state)
        else:
            checkpoints = restored = None
        position = agree(None if restored is None else restored.position)
        if position is not None:
            state = place.same_state(state if restored is None else restored.state)
            batches.set_state(position["batches"])
        recorder = checkpoints and stack.enter_context(
            Recorder(folder, checkpoints, console, done=int(state.step), total=training.num_steps)
        )
        try:
            _Loop(training, place, recorder, interruption).run(place.put_state(state), batches)
        except Interrupted:
            meet()
            raise
    part()


def initial_state(training: Training) -> Any:
    """The state before the first step."""
    key_init, _ = _keys(training)
    state = init_train_state(training.init_params(key_init), training.optimizer)
    if training.initial_carry is None:
        return state
    # Copied: a state is donated to the step.
    return CarriedState(*state, jax.tree.map(jnp.copy, training.initial_carry))


def shapes_of(training: Training) -> Any:
    """The state of a training without its values, for `best_state`."""
    return jax.eval_shape(lambda: initial_state(training))


def best_state(folder: RunFolder, like: Any) -> Any:
    """The state that did best on dev.

    Args:
      folder: of the run.
      like: a state of the same structure, such as `shapes_of` gives it.

    Raises:
      ValueError: if the run has not come to its first evaluation, or is of another model.
    """
    with Checkpoints(folder.path / "checkpoints") as checkpoints:
        best = checkpoints.restore_best(like)
    if best is None:
        raise ValueError(f"{folder.path} has no checkpoint yet. Resume its training first.")
    return best.state


class _Loop(NamedTuple):
    training: Training
    place: Place
    recorder: Recorder | None  # in the first process
    interruption: Interruption

    def run(self, state: Any, batches: Any) -> None:
        training, place = self.training, self.place
        train_step, eval_step = _make_steps(training, place)
        _, key = _keys(training)
        key = place.put_key(key)
        step, total = int(state.step), training.num_steps
        unread = None
        over = self._is_over()
        while step < total and not over:
            batch = place.put_batch(next(batches), training.axis_of_rows)
            with jax.transfer_guard("disallow"):
                state, totals = train_step(state, batch, key)
            step += training.steps_per_dispatch
            if unread is not None:
                self._record(*unread)
            unread = (step, totals)
            is_last = step == total
            evaluating = step % training.steps_per_evaluation == 0 or is_last
            if not (evaluating or self.interruption.is_due(step)):
                continue
            self._record(*unread)
            unread = None
            alone = place.take_state(state)
            if self.recorder is not None:
                score = (
                    self._evaluate(self.recorder, step, eval_step, alone) if evaluating else None
                )
                self.recorder.save(alone, batches.get_state(), score)
            if self.interruption.is_due(step) and not is_last:
                if self.recorder is not None:
                    self.recorder.finish()
                raise Interrupted(
                    f"Interrupted after step {step} and saved; give the same command to resume."
                )
            over = self._is_over()
        if self.recorder is not None:
            self.recorder.finish()

    def _is_over(self) -> bool:
        """Whether the first process sees in its journal that the run may stop."""
        return agree(self.recorder is not None and self._should_stop(self.recorder.evaluations))

    def _should_stop(self, evaluations: list[dict[str, Any]]) -> bool:
        training = self.training
        scores = [training.score(means) for means in evaluations]
        return should_stop(scores, patience=training.patience, enough=training.enough)

    def _record(self, step: int, totals: dict[str, Any]) -> None:
        """Notes the steps of one dispatch, of which `step` is the last."""
        num_steps = self.training.steps_per_dispatch
        for i, of_step in enumerate(
            steps_of(jax.device_get(totals), num_steps), start=1 - num_steps
        ):
            require_finite(of_step, step + i)
            if self.recorder is not None:
                self.recorder.record(step + i, means_of(of_step), float(of_step["loss"].count))

    def _evaluate(self, recorder: Recorder, step: int, eval_step: Callable, state: Any) -> float:
        params = self.training.evaluated_params(state)
        dev = self.training.dev
        means = evaluate(eval_step, params, dev) if len(dev) else {}
        score = self.training.score({"step": step, **means})
        if not math.isfinite(score):
            raise FloatingPointError(
                f"After step {step} the score on dev is {score}. Lower the learning rate or clip "
                "the gradient, and start again from the last checkpoint."
            )
        if means:
            recorder.evaluated(step, means)
        return score


def _make_steps(training: Training, place: Place = ONE_DEVICE) -> tuple[Callable, Callable]:
    loss_fn, carry = training.loss_fn, training.initial_carry
    quick: dict[str, Any] = {"compiler_options": quick_compilation()}
    is_one = training.steps_per_dispatch == 1
    options: dict[str, Any] = {"mesh": place.mesh, "accumulation_steps": place.accumulation_steps}
    options |= quick if is_one else {}
    if carry is None:
        train_step = make_train_step(loss_fn, training.optimizer, **options)
        eval_step = make_eval_step(loss_fn, **quick)
    else:
        train_step = make_carried_train_step(loss_fn, training.optimizer, **options)
        eval_step = make_carried_eval_step(loss_fn, carry, **quick)
    return train_step if is_one else repeat_step(train_step, **quick), eval_step


def _keys(training: Training) -> tuple[jax.Array, jax.Array]:
    key_init, key_steps = jax.random.split(jax.random.key(training.seed))
    return key_init, key_steps
