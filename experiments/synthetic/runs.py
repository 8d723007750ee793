"""One run on a made-up task, from its folder to its numbers."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console

from birnn_jax import make_eval_step
from experiments.runner import loop
from experiments.runner.folder import RunFolder
from experiments.runner.results import has_result, read_result, write_result
from experiments.synthetic.config import TEST, Numbers, SyntheticConfig, make_loss, make_training
from experiments.synthetic.pictures import plot_run

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
