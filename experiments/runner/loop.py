"""Training runs that can be killed at any moment and go on bit for bit where they were.

A run is a function of its seed: the key of step n is `fold_in(key, n)`, batch n is a function of
(seed, n), and whatever else a step changes is in the checkpoint. Metrics of a step are fetched
after the next step has been dispatched, so that the device does not wait for the host.
"""

import dataclasses
import math
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.console import Console

from birnn_jax import (
    Total,
    init_train_state,
    make_eval_step,
    make_train_step,
    require_finite,
)
from birnn_jax.checkpoint import Checkpoints
from experiments.runner.batches import Source, prefetched
from experiments.runner.carried import (
    CarriedState,
    make_carried_eval_step,
    make_carried_train_step,
)
from experiments.runner.dispatch import repeated, steps_of
from experiments.runner.folder import RunFolder
from experiments.runner.journal import Journal
from experiments.runner.progress import Display

LossFn = Callable[[Any, Any, jax.Array | None], Mapping[str, Total]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """What the runner has to know of an experiment."""

    loss_fn: Callable  # a LossFn; with an initial carry a CarriedLossFn, see `carried`
    optimizer: optax.GradientTransformation
    init_params: Callable[[jax.Array], Any]
    train: Source  # one batch a dispatch; its length is the length of the run
    dev: Source
    steps_per_evaluation: int  # a multiple of steps_per_dispatch
    patience: int  # evaluations without a new best before the run stops early
    seed: int
    score: Callable[[Mapping[str, float]], float]  # of the metrics on dev; bigger is better
    evaluated_params: Callable[[Any], Any] = lambda state: state.params
    initial_carry: Any = None  # None where no step hands anything on but the state
    enough: float = math.inf  # a score on dev at which the run is at its end
    steps_per_dispatch: int = 1  # with more, a batch of `train` is that many, stacked

    @property
    def num_steps(self) -> int:
        """Steps of the whole run."""
        return len(self.train) * self.steps_per_dispatch


def fit(folder: RunFolder, training: Training, console: Console) -> None:
    """Trains to the end, from the newest checkpoint in the folder if there is one.

    Raises:
      FloatingPointError: if the loss is not finite; names the step.
      KeyboardInterrupt: after an interruption, once everything is saved; says how to go on.
      OSError: if something cannot be written; what was saved before is kept.
      ValueError: if the checkpoint is damaged or of another model.
    """
    state = initial_state(training)
    with (
        Checkpoints(folder.path / "checkpoints") as checkpoints,
        _Interruption(console) as interruption,
    ):
        restored = checkpoints.restore_latest(state)
        batches = prefetched(training.train)
        if restored is not None:
            state = restored.state
            batches.set_state(restored.position["batches"])
        step = int(state.step)
        with (
            Journal(folder.path / "metrics.jsonl", step) as metrics,
            Journal(folder.path / "clock.jsonl", step) as clock,
            Display(console, done=step, total=training.num_steps) as display,
        ):
            if step:
                console.print(f"{step} of {training.num_steps} steps are done.", highlight=False)
            loop = _Loop(training, checkpoints, metrics, clock, display, interruption)
            try:
                loop.run(state, batches)
            except OSError as error:
                raise OSError(f"{error} Make room, and give the same command to go on.") from error


def initial_state(training: Training) -> Any:
    """The state before the first step."""
    key_init, _ = _keys(training)
    state = init_train_state(training.init_params(key_init), training.optimizer)
    if training.initial_carry is None:
        return state
    # Copied: a state is donated to the step.
    return CarriedState(*state, jax.tree.map(jnp.copy, training.initial_carry))


def best_state(folder: RunFolder, like: Any) -> Any:
    """The state that did best on dev.

    Raises:
      ValueError: if the run has not come to its first evaluation, or is of another model.
    """
    with Checkpoints(folder.path / "checkpoints") as checkpoints:
        best = checkpoints.restore_best(like)
    if best is None:
        raise ValueError(f"{folder.path} has no checkpoint yet: let its training go on first.")
    return best.state


class _Loop(NamedTuple):
    training: Training
    checkpoints: Checkpoints
    metrics: Journal
    clock: Journal
    display: Display
    interruption: "_Interruption"

    def run(self, state: Any, batches: Any) -> None:
        training = self.training
        train_step, eval_step = _make_steps(training)
        _, key = _keys(training)
        step, total = int(state.step), training.num_steps
        watch = _Watch()
        unread = None
        while step < total and not _is_over(self.metrics.records, training):
            batch = jax.device_put(next(batches))
            with jax.transfer_guard("disallow"):
                state, totals = train_step(state, batch, key)
            step += training.steps_per_dispatch
            if unread is not None:
                self._record(*unread)
            unread = (step, totals)
            evaluating = step % training.steps_per_evaluation == 0 or step == total
            if not evaluating and not self.interruption.requested:
                continue
            self._record(*unread)
            unread = None
            score = self._evaluate(step, eval_step, state) if evaluating else None
            self.clock.write({"step": step, **watch.lap()})
            self._save(state, batches, score)
            if self.interruption.requested and step < total:
                raise KeyboardInterrupt(
                    f"Interrupted after step {step} and saved; give the same command to go on."
                )

    def _record(self, step: int, totals: dict[str, Any]) -> None:
        """Notes the steps of one dispatch, of which `step` is the last."""
        num_steps = self.training.steps_per_dispatch
        for i, one in enumerate(steps_of(jax.device_get(totals), num_steps), start=1 - num_steps):
            require_finite(one, step + i)
            means = _means(one)
            self.metrics.write({"step": step + i, "split": "train", **means})
            self.display.step(means, float(one["loss"].count))

    def _evaluate(self, step: int, eval_step: Callable, state: Any) -> float:
        params = self.training.evaluated_params(state)
        means = evaluate(eval_step, params, self.training.dev)
        score = self.training.score(means)
        if not math.isfinite(score):
            raise FloatingPointError(
                f"After step {step} the score on dev is {score}. Lower the learning rate or clip "
                "the gradient, and start again from the last checkpoint."
            )
        self.metrics.write({"step": step, "split": "dev", **means})
        self.display.line(f"step {step}, dev", means)
        return score

    def _save(self, state: Any, batches: Any, score: float | None) -> None:
        self.metrics.sync()
        self.clock.sync()
        self.checkpoints.save(state, position={"batches": batches.get_state()}, score=score)


def _make_steps(training: Training) -> tuple[Callable, Callable]:
    loss_fn, carry = training.loss_fn, training.initial_carry
    if carry is None:
        train_step = make_train_step(loss_fn, training.optimizer)
        eval_step = make_eval_step(loss_fn)
    else:
        train_step = make_carried_train_step(loss_fn, training.optimizer)
        eval_step = make_carried_eval_step(loss_fn, carry)
    return repeated(train_step, training.steps_per_dispatch), eval_step


def evaluate(eval_step: Callable, params: Any, batches: Source) -> dict[str, float]:
    """The means of all totals over all batches."""
    sums: Any = None
    for i in range(len(batches)):
        totals = eval_step(params, jax.device_put(batches[i]))
        sums = totals if sums is None else jax.tree.map(jnp.add, sums, totals)
    return _means(jax.device_get(sums))


def _means(totals: Mapping[str, Any]) -> dict[str, Any]:
    """Totals as their means, other values as they are, all as JSON knows them."""
    means = {name: t.mean if isinstance(t, Total) else t for name, t in totals.items()}
    return {name: np.asarray(value).item() for name, value in means.items()}


def _keys(training: Training) -> tuple[jax.Array, jax.Array]:
    key_init, key_steps = jax.random.split(jax.random.key(training.seed))
    return key_init, key_steps


def _is_over(records: list[dict[str, Any]], training: Training) -> bool:
    """Whether a run stops early: enough was reached, or the last `patience` evaluations brought no
    new best. A function of the journal, so that a run taken up again stops where it would have.
    """
    scores = [training.score(record) for record in records if record["split"] == "dev"]
    if not scores:
        return False
    best = max(scores)
    return best >= training.enough or len(scores) - scores.index(best) > training.patience


class _Watch:
    """Wall and processor time, lap by lap; that of the processor does not see what runs beside."""

    def __init__(self) -> None:
        self._started = time.monotonic(), time.process_time()

    def lap(self) -> dict[str, float]:
        now = time.monotonic(), time.process_time()
        wall, cpu = (round(end - start, 3) for end, start in zip(now, self._started, strict=True))
        self._started = now
        return {"seconds": wall, "cpu_seconds": cpu}


class _Interruption:
    """Turns the first Ctrl-C, or the first polite kill, into a request that the loop looks at."""

    def __init__(self, console: Console):
        self.requested = False
        self._console = console
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: object) -> None:
        if self.requested:
            raise KeyboardInterrupt("Stopped at once; the same command goes on from what is saved.")
        self.requested = True
        self._console.print("Finishing the step and saving; once more to stop at once.")
