"""A training from its first step to its last, for the plain case.

It is made of public pieces, which do as well in a loop of one's own: `init_train_state`,
`make_train_step`, `make_eval_step`, `evaluate`, `should_stop`, `Checkpoints` and writers.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .._core.checks import as_size
from .evaluation import Batches, check_batches, evaluate, means_of, should_stop
from .json_lines import JsonLines
from .state import P, P_co, TrainState, init_train_state
from .train_step import (
    LossFn,
    make_eval_step,
    make_train_step,
    quick_compilation,
    require_finite,
)
from .writers import Terminal, Writer


class Fitted(NamedTuple, Generic[P_co]):
    """What `fit` returns.

    Example:
      >>> from birnn_jax.training import Fitted
      >>> fitted = Fitted(state=None, params={"w": 1.0}, evaluations=[{"step": 10, "loss": 0.5}])
      >>> fitted.params
      {'w': 1.0}
    """

    state: TrainState[P_co]  # after the last step
    params: P_co  # of the evaluation with the best score; without evaluations, of the last step
    evaluations: list[dict[str, Any]]  # of each evaluation its "step" and its metrics
    test: dict[str, float] | None = None  # the metrics of `params` on the test set


def fit(
    loss_fn: LossFn,
    optimizer: optax.GradientTransformation,
    params: P,
    train: Batches,
    *,
    key: jax.Array,
    epochs: int | None = None,
    num_steps: int | None = None,
    dev: Batches | None = None,
    test: Batches | None = None,
    steps_per_evaluation: int | None = None,
    score: str | Callable[[Mapping[str, float]], float] = lambda metrics: -metrics["loss"],
    patience: int | None = None,
    evaluated_params: Callable[[TrainState[P]], P] = lambda state: state.params,
    directory: str | os.PathLike[str] | None = None,
    writers: Sequence[Writer] | None = None,
) -> Fitted[P]:
    """Trains for some epochs or steps, evaluates, keeps the best, and goes on after a kill.

    A run is a function of its arguments: step n takes batch n and `fold_in(key, n)`. A process that
    is killed at any moment and started again with the same arguments and `directory` ends with the
    same bits as one that was not.

    Args:
      loss_fn: `(params, batch, key) -> {"loss": Total, ...}`, as in `make_train_step`; in
        evaluation with `key=None`.
      optimizer: from `make_optimizer`, or any optax transformation.
      params: before the first step; donated, as in `init_train_state`.
      train: batches by their number; `len` of it is one epoch. A list gives the same batches in
        every epoch. Anything else is asked for the batch of every step, beyond its length too:
        datasets of `birnn_jax.data` shuffle anew in each epoch.
      key: of what the loss draws; consumed.
      epochs: epochs to train. Give this or `num_steps`.
      num_steps: steps to train.
      dev: batches on which it is evaluated, one epoch of them; None is no evaluation.
      test: batches on which the best parameters are evaluated once, in the end.
      steps_per_evaluation: steps from one evaluation and checkpoint to the next; None is an epoch.
        The last step is always followed by both.
      score: of the metrics on `dev`: a function of them, or the name of one; bigger is better. By
        default it is the loss with a minus.
      patience: evaluations without a new best before the training stops early; None never does.
      evaluated_params: what is evaluated of a state, for example `average_of` with an optimiser
        from `with_average`.
      directory: of checkpoints and `metrics.jsonl`; made if it does not exist. With None nothing is
        kept, and a training cannot go on.
      writers: what else takes the metrics; they are closed in the end. None shows the progress in
        the terminal; () is silent.

    Returns:
      `Fitted`: the state in the end, the best parameters, all evaluations and the test.

    Raises:
      FloatingPointError: if the loss or the score is not finite; names the step.
      ValueError: for settings that do not fit, or a directory with the run of another model.
      OSError: if something cannot be written; what was saved before is kept.
      KeyboardInterrupt: after Ctrl-C, and says so. The last checkpoint is kept; the same call goes
        on from there.

    Example:
      >>> from birnn_jax.training import fit
      >>> def loss_fn(params, batch, key):
      ...     error = jnp.square(batch - params["mean"])
      ...     return {"loss": Total(error.sum(), jnp.array(error.size, error.dtype))}
      >>> fitted = fit(
      ...     loss_fn, make_optimizer(0.25, method=optax.sgd), {"mean": jnp.array(0.0)},
      ...     train=[jnp.array([1.0, 3.0]), jnp.array([2.0])], dev=[jnp.array([2.0])],
      ...     key=jax.random.key(0), epochs=5, writers=(),
      ... )
      >>> int(fitted.state.step), round(float(fitted.params["mean"]), 2)
      (10, 2.0)
    """
    num_steps, every = _count_steps(train, epochs, num_steps, steps_per_evaluation)
    options = quick_compilation()
    train_step = make_train_step(loss_fn, optimizer, compiler_options=options)
    eval_step = make_eval_step(loss_fn, compiler_options=options)
    state = init_train_state(params, optimizer)
    best, evaluations, unread = None, [], None
    listening: list[Writer] = [Terminal()] if writers is None else [*writers]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_interruption_explained(directory))
        checkpoints = None
        if directory is not None:
            checkpoints = stack.enter_context(_open_checkpoints(Path(directory)))
            listening.append(JsonLines(Path(directory) / "metrics.jsonl"))
            if (latest := checkpoints.restore_latest(state)) is not None:
                scored = checkpoints.restore_best(state)
                best = scored and evaluated_params(scored.state)
                state, evaluations = latest.state, latest.position["evaluations"]
        for writer in listening:
            stack.enter_context(writer).start(int(state.step), num_steps=num_steps)
        for step in range(int(state.step) + 1, num_steps + 1):
            scores = [_score_of(metrics, score) for metrics in evaluations]
            if should_stop(scores, patience=patience):
                break
            state, metrics = train_step(state, _batch_of(train, step - 1), key)
            if unread is not None:  # the step before this one, which runs meanwhile
                _tell(listening, *unread)
            unread = step, metrics
            if step % every and step < num_steps:
                continue
            _tell(listening, *unread)
            unread, value = None, None
            if dev is not None:
                average = evaluated_params(state)
                means = evaluate(eval_step, average, dev)
                value = _require_finite_score(_score_of(means, score), means, step)
                if value >= max(scores, default=value):
                    best = jax.tree.map(jnp.copy, average)  # the state is donated to the next step
                evaluations = [*evaluations, {"step": step, **means}]
                for writer in listening:
                    writer.write(step, "dev", means)
            for writer in listening:
                writer.sync()
            if checkpoints is not None:
                checkpoints.save(state, position={"evaluations": evaluations}, score=value)
    best = evaluated_params(state) if best is None else best
    tested = None if test is None else evaluate(eval_step, best, test)
    return Fitted(state, best, evaluations, tested)


@contextlib.contextmanager
def _interruption_explained(directory: str | os.PathLike[str] | None) -> Iterator[None]:
    """Says how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        interruption.add_note(
            "Nothing of this training was kept. Give fit a directory, where the same call goes on."
            if directory is None
            else f"The same call goes on from the last checkpoint in {os.fspath(directory)}."
        )
        raise


def _open_checkpoints(directory: Path) -> Any:
    from .checkpoints import Checkpoints  # Orbax takes a second to import

    return Checkpoints(directory / "checkpoints", background=True)


def _count_steps(
    train: Batches, epochs: int | None, num_steps: int | None, steps_per_evaluation: int | None
) -> tuple[int, int]:
    """Steps in all, and from one evaluation to the next."""
    if (epochs is None) == (num_steps is None):
        raise ValueError(
            f"Give epochs or num_steps, one of them, got epochs={epochs} and num_steps={num_steps}."
        )
    check_batches("train", train)
    if epochs is not None:
        num_steps = as_size("epochs", epochs) * len(train)
    every = len(train) if steps_per_evaluation is None else steps_per_evaluation
    return as_size("num_steps", num_steps), as_size("steps_per_evaluation", every)


def _score_of(
    metrics: Mapping[str, float], score: str | Callable[[Mapping[str, float]], float]
) -> float:
    if not isinstance(score, str):
        return score(metrics)
    if score not in metrics:
        known = ", ".join(name for name in metrics if name != "step")
        raise ValueError(f"score={score!r} is no metric of loss_fn on dev, which are {known}.")
    return metrics[score]


def _batch_of(train: Batches, number: int) -> Any:
    return train[number % len(train)] if isinstance(train, Sequence) else train[number]


def _tell(writers: Sequence[Writer], step: int, metrics: dict[str, Any]) -> None:
    metrics = jax.device_get(metrics)
    require_finite(metrics, step)
    for writer in writers:
        writer.write(step, "train", means_of(metrics))


def _require_finite_score(value: float, means: Mapping[str, float], step: int) -> float:
    for name, number in {**means, "score": value}.items():
        if not math.isfinite(number):
            raise FloatingPointError(
                f"After step {step} the {name} on dev is {number}. Lower the learning rate or clip "
                "the gradient, and start again from the last checkpoint."
            )
    return value
