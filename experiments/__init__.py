"""Experiments: `python -m experiments.NAME --help` says what each one does."""

import importlib
import pathlib
from typing import Any

_OF_TASKS = ("music", "time_series")  # whose tasks have a folder each


def from_pretrained(path: str | pathlib.Path) -> Any:
    """The trained model in a folder that the command `export` wrote, or in the folder of a run.

    Args:
      path: of the folder.

    Returns:
      What the experiment has for it, such as a `TrainedTagger` of `experiments.pos_tagging.model`.

    Raises:
      ValueError: if there is no model in the folder that can be exported.
    """
    from experiments.runner.run.folder import RunFolder

    folder = RunFolder.open(pathlib.Path(path))
    name = folder.config["experiment"]
    parts = ["experiments", name, *([folder.settings["task"]] if name in _OF_TASKS else [])]
    module = ".".join([*parts, "export"])
    try:
        export = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"{path} is a run of {name}, whose models are not exported.") from None
    return export.load(folder)
