"""Run folders of `experiments.time_series`, which know which of its tasks they are of."""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from experiments.runner.folder import RunFolder

NAME = "time_series"


def start_run(path: pathlib.Path, task: str, config: Any, data: Sequence[str]) -> RunFolder:
    """Makes or takes up a folder; `data` are the names of the files among the settings."""
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in data}
    files = {name: getattr(config, name) for name in data}
    return RunFolder.start(path, experiment=NAME, settings={"task": task, **settings}, data=files)


def open_run(path: pathlib.Path, task: str) -> RunFolder:
    """Opens the folder of a run of this task.

    Raises:
      ValueError: if there is none in the folder.
    """
    folder = RunFolder.open(path, experiment=NAME)
    if folder.settings.get("task") != task:
        raise ValueError(
            f"{path} is a run of {NAME} {folder.settings.get('task')}, not of {NAME} {task}; give "
            "another --run."
        )
    return folder
