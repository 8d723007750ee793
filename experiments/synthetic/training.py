"""One run on a made-up task, from its folder to its numbers."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import optax
from rich.console import Console

from birnn_jax import make_eval_step, make_optimizer
from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import has_result, read_result, write_result
from experiments.synthetic.config import SyntheticConfig
from experiments.synthetic.data import DEV, TEST, TRAIN, Numbers
from experiments.synthetic.model import init_params, make_loss
from experiments.synthetic.report import plot_run

METHODS = {"adam": optax.adam, "sgd": optax.sgd}


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


def train_run(
    experiment: str, config: SyntheticConfig, path: pathlib.Path, finish: Finish | None = None
) -> None:
    """Trains, tests the best parameters, and leaves result.json and curves.png in the folder.

    Args:
      experiment: whose run it is.
      config: the settings.
      path: of the run folder; an unfinished run in it is gone on with, a finished one left alone.
      finish: from folder, settings and best parameters to more numbers for result.json.
    """
    console = Console()
    folder = RunFolder.start(
        path, experiment=experiment, settings=dataclasses.asdict(config), data={}
    )
    if has_result(folder):
        console.print(f"{path}: {summary(folder)}", highlight=False)
        return
    training = make_training(config)
    try:
        loop.fit(folder, training, console)
        is_finite = True
    except FloatingPointError as error:  # what an experiment on clipping is there to show
        console.print(f"{error}", highlight=False)
        is_finite = False
    params = loop.best_state(folder, loop.initial_state(training)).params
    metrics = test(config, params) | {"finite": float(is_finite)}
    if finish is not None:
        metrics |= finish(folder, config, params)
    plot_run(folder, config.what, config.length)
    write_result(folder, metrics)
    console.print(f"{path}: {summary(folder)}", highlight=False)


def test(config: SyntheticConfig, params: Any) -> dict[str, float]:
    """The means over the test sequences, and what can be had without a memory."""
    batches = Numbers(config, TEST, -(-4 * config.held_out // config.batch_size))
    means = loop.evaluate(make_eval_step(make_loss(config)), params, batches)
    return means | {"memoryless": config.what.memoryless(config.length)}


def summary(folder: RunFolder) -> str:
    """One line on how a run ended."""
    result = read_result(folder)
    measures = (name for name in ("loss", "accuracy") if name in result["metrics"])
    shown = ", ".join(f"{name} {result['metrics'][name]:.4g}" for name in measures)
    return f"{shown} on test after {result['steps']} steps"


def measured(folders: list[RunFolder], name: str) -> np.ndarray:
    """A number of result.json in each of several runs."""
    return np.array([read_result(folder)["metrics"][name] for folder in folders])
