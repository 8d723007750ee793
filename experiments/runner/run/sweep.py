"""Several runs of one experiment, one after the other: what a picture of it needs."""

import dataclasses
import pathlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.runner.pictures.curves import plot_comparison
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.journal import read_journal
from experiments.runner.run.results import read_result


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


def compare_variants(
    root: pathlib.Path,
    config: Any,
    variants: Mapping[str, Mapping[str, Any]],
    seeds: Sequence[int],
    train: Callable[[Any, pathlib.Path], None],
    *,
    metrics: Sequence[str],
    picture: pathlib.Path | None,
    title: str,
) -> None:
    """Trains `config` with the changes of each variant, prints the means, and draws the first.

    Args:
      root, seeds, train: as in `train_all`.
      config: the settings that all have in common.
      variants: for each name in words the settings that differ.
      metrics: what is printed; the first is drawn as it stood on dev.
      picture: where to draw; None draws nothing.
      title: of the picture.
    """
    configs = {
        name.replace(", ", "-").replace(" ", "-"): dataclasses.replace(config, **changes)
        for name, changes in variants.items()
    }
    trained = train_all(root, configs, seeds, train)
    folders = dict(zip(variants, trained.values(), strict=True))
    print_means(folders, metrics, Console())
    if picture:
        groups = {
            name: [read_journal(folder.path / "metrics.jsonl") for folder in runs]
            for name, runs in folders.items()
        }
        plot_comparison(picture, groups, title=title, metric=metrics[0])


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
