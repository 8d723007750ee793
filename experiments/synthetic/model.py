"""What learns a made-up task: parameters, loss, training, and the test of a run."""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from rich.console import Console

import birnn_jax
from birnn_jax import Total, make_eval_step, make_optimizer
from birnn_jax.training import evaluate
from experiments.runner.run import loop
from experiments.runner.run.choices import METHODS
from experiments.runner.run.experiment import Prepared
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import read_result
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.data import DEV, TEST, TRAIN, Numbers, examples_of
from experiments.synthetic.report import plot_run
from experiments.synthetic.tasks import Examples


def make_loss(config: SyntheticConfig) -> loop.LossFn:
    """The loss of training, evaluation and tests; beside it the accuracy, where there is one."""

    def loss_fn(params: Any, batch: Any, key: jax.Array | None) -> dict[str, Total]:
        del key
        examples = examples_of(config, batch)
        return totals_of(birnn_jax.tagger(config.stack, params, examples.xs), examples)

    return loss_fn


def totals_of(outputs: jax.Array, examples: Examples) -> dict[str, Total]:
    """Squared error of numbers, cross entropy in nats and accuracy of classes."""
    answers, mask = examples.answers, examples.mask
    if jax.numpy.issubdtype(answers.dtype, jax.numpy.integer):
        return {
            "loss": birnn_jax.cross_entropy(outputs, answers, mask),
            "accuracy": birnn_jax.accuracy(outputs, answers, mask),
        }
    errors = jax.numpy.where(mask, outputs[..., 0] - answers, 0)
    return {"loss": Total((errors**2).sum(), mask.sum(dtype=errors.dtype))}


def init_params(config: SyntheticConfig, key: jax.Array) -> Any:
    """The parameters before training; consumes `key`."""
    input_size = jax.eval_shape(lambda: config.what.make(jax.random.key(0), 1, config.length))
    return birnn_jax.init_tagger(
        config.stack,
        key,
        input_size=input_size.xs.shape[-1],
        hidden_size=config.hidden_size,
        num_classes=config.what.num_outputs,
    )


def make_training(config: SyntheticConfig) -> loop.Training:
    """Says to the runner what to train."""
    sign = -1 if config.what.measure == "loss" else 1
    return loop.Training(
        loss_fn=make_loss(config),
        optimizer=make_optimizer(
            config.learning_rate,
            clip_norm=config.clip_norm,
            method=METHODS[config.optimizer],
        ),
        init_params=functools.partial(init_params, config),
        train=Numbers(config, TRAIN, config.steps, per_item=config.steps_per_evaluation),
        dev=Numbers(config, DEV, -(-config.held_out // config.batch_size)),
        steps_per_evaluation=config.steps_per_evaluation,
        patience=config.steps,
        seed=config.seed,
        score=lambda means: sign * means[config.what.measure],
        enough=sign * config.what.solved,
        steps_per_dispatch=config.steps_per_evaluation,
    )


Finish = Callable[[RunFolder, SyntheticConfig, Any], dict[str, float]]


def prepare(
    config: SyntheticConfig,
    path: pathlib.Path,
    console: Console,
    origin: RunFolder | None = None,
    *,
    finish: Finish | None = None,
) -> Prepared:
    """Says what to train and to test, and goes on to the test from a loss that is not finite.

    Args:
      config: the settings.
      path: of the run folder.
      console: unused.
      origin: unused: there is no vocabulary to extend.
      finish: from folder, settings and best parameters to more numbers for result.json.
    """
    training = make_training(config)
    is_finite = True

    def fit(folder: RunFolder, training: loop.Training, console: Console) -> None:
        nonlocal is_finite
        try:
            loop.fit(folder, training, console)
        except FloatingPointError as error:  # what an experiment on clipping is there to show
            console.print(f"{error}", highlight=False)
            is_finite = False

    def test_and_draw(folder: RunFolder, console: Console) -> dict[str, float]:
        params = loop.best_state(folder, loop.shapes_of(training)).params
        metrics = test(config, params) | {"finite": float(is_finite)}
        if finish is not None:
            metrics |= finish(folder, config, params)
        plot_run(folder, config.what, config.length)
        measures = (name for name in ("loss", "accuracy") if name in metrics)
        shown = ", ".join(f"{name} {metrics[name]:.4g}" for name in measures)
        console.print(f"{path}: {shown} on test", highlight=False)
        return metrics

    return Prepared(training, test_and_draw, fit=fit)


def test(config: SyntheticConfig, params: Any) -> dict[str, float]:
    """The means over the test sequences, and what can be had without a memory."""
    batches = Numbers(config, TEST, -(-4 * config.held_out // config.batch_size))
    means = evaluate(make_eval_step(make_loss(config)), params, batches)
    return means | {"memoryless": config.what.memoryless(config.length)}


def measured(folders: list[RunFolder], name: str) -> np.ndarray:
    """A number of result.json in each of several runs."""
    return np.array([read_result(folder)["metrics"][name] for folder in folders])
