"""Run folders of experiments with several tasks, which know the one that they are of."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from experiments.runner.run.folder import RunFolder


def start_run(
    path: pathlib.Path, experiment: str, task: str, config: Any, data: Mapping[str, pathlib.Path]
) -> RunFolder:
    """Makes or takes up a folder; `data` are the files among the settings, by their names."""
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in data}
    return RunFolder.start(
        path,
        experiment=experiment,
        settings={"task": task, **settings},
        data=data,
    )


def open_run(path: pathlib.Path, experiment: str, task: str) -> RunFolder:
    """Opens the folder of a run of this task.

    Raises:
      ValueError: if there is none in the folder.
    """
    folder = RunFolder.open(path, experiment=experiment)
    if folder.settings.get("task") != task:
        raise ValueError(
            f"{path} is a run of {experiment} {folder.settings.get('task')}, not of {experiment} "
            f"{task}; give another --run."
        )
    return folder


def settings_of(folder: RunFolder) -> dict[str, Any]:
    """The settings that a run was started with, without its task and its files."""
    return {name: value for name, value in folder.settings.items() if name != "task"}
