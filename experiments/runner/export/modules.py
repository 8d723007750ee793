"""The module with which an experiment exports its models, imported when it is asked for."""

import importlib
from types import ModuleType

from experiments.runner.run.folder import RunFolder

_OF_TASKS = ("music", "time_series")  # whose tasks have a folder each


def export_module(folder: RunFolder) -> ModuleType:
    """The module `export` of the experiment of a run: `exported` and `load` take its folder.

    Raises:
      ValueError: if the models of this experiment are not exported.
    """
    name = folder.config["experiment"]
    parts = ["experiments", name, *([folder.settings["task"]] if name in _OF_TASKS else [])]
    module = ".".join([*parts, "export"])
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(
            f"{folder.path} is a run of {name}, whose models are not exported."
        ) from None
