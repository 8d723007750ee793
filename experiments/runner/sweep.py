"""Several runs of one experiment, one after the other: what a picture of it needs."""

import dataclasses
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.runner.folder import RunFolder
from experiments.runner.results import read_result


def train_all(
    root: pathlib.Path,
    configs: Mapping[str, Any],
    seeds: Sequence[int],
    train: Callable[[Any, pathlib.Path], None],
) -> dict[str, list[RunFolder]]:
    """Trains each of `configs` with each seed, in the folder `root / "NAME-seed0"`.

    Args:
      root: folder of the run folders.
      configs: dataclasses with a field `seed`, by name.
      seeds: of the runs of each.
      train: trains one run in its folder, and returns at once from one that has its result.

    Returns:
      For each name its run folders, in the order of the seeds.
    """
    folders: dict[str, list[RunFolder]] = {}
    for name, config in configs.items():
        paths = [root / f"{name}-seed{seed}" for seed in seeds]
        for seed, path in zip(seeds, paths, strict=True):
            train(dataclasses.replace(config, seed=seed), path)
        folders[name] = [RunFolder.open(path) for path in paths]
    return folders


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
