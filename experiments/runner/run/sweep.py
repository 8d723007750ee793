"""Several runs of one experiment, one after the other: what a picture of it needs."""

import dataclasses
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
from rich.console import Console
from rich.table import Table

from experiments.runner.data.reading import telling_once
from experiments.runner.pictures.curves import plot_comparison
from experiments.runner.run.commands import SweepCommand
from experiments.runner.run.experiment import Experiment
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.results import read_result


def train_all(
    root: pathlib.Path,
    configs: Mapping[str, Any],
    seeds: Sequence[int],
    train: Callable[[Any, pathlib.Path], RunFolder],
    *,
    path: str = "{name}-seed{seed}",
) -> dict[str, list[RunFolder]]:
    """Trains each of `configs` with each seed, in a folder of its own.

    What is noted of a file that several runs read is reported once. After each run, JAX forgets its
    programs: it would keep more than a megabyte of each, and lower every further one more slowly.

    Args:
      root: folder of the run folders.
      configs: dataclasses with a field `seed`, by name.
      seeds: of the runs of each.
      train: trains one run in its folder, and returns at once from one that has its result.
      path: of a run folder below `root`, of {name} and {seed}.

    Returns:
      For each name its run folders, in the order of the seeds.
    """

    def train_one(name: str, config: Any, seed: int) -> RunFolder:
        folder = root / path.format(name=name, seed=seed)
        trained = train(dataclasses.replace(config, seed=seed), folder)
        jax.clear_caches()
        return trained

    with telling_once():
        return {
            name: [train_one(name, config, seed) for seed in seeds]
            for name, config in configs.items()
        }


class CompareCommand(SweepCommand):
    """Trains the same settings with the changes of each variant, and compares."""

    experiment: ClassVar[Experiment]
    variants: ClassVar[Mapping[str, Mapping[str, Any]]]  # by their names in words
    metrics: ClassVar[Sequence[str]]  # what is printed; the first is drawn as it stood on dev
    title: ClassVar[str]

    config: Any
    runs: pathlib.Path
    picture: pathlib.Path | None = None
    """Where to draw the first metric on dev of all runs."""

    def run(self) -> None:
        """Trains, prints and draws."""
        configs = {
            name.replace(", ", "-").replace(" ", "-"): dataclasses.replace(self.config, **changes)
            for name, changes in self.variants.items()
        }
        trained = train_all(self.runs, configs, self.seeds, self.experiment.train)
        folders = dict(zip(self.variants, trained.values(), strict=True))
        print_means(folders, self.metrics, Console())
        if self.picture:
            plot_comparison(self.picture, folders, title=self.title, metric=self.metrics[0])


def print_means(
    runs: Mapping[str, Sequence[RunFolder]], metrics: Sequence[str], console: Console
) -> None:
    """Prints the mean of each metric over the runs of each name, with their spread."""
    table = Table("", *metrics)
    for name, folders in runs.items():
        results = [read_result(folder)["metrics"] for folder in folders]
        columns = [[result[metric] for result in results] for metric in metrics]
        table.add_row(name, *map(_spread, columns))
    console.print(table, highlight=False)


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2%}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2%}{spread}"
