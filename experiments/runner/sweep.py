"""Several runs of one experiment, one after the other: what a picture of it needs."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.runner.folder import RunFolder


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
