"""Experiments: `python -m experiments.NAME --help` says what each one does."""

import pathlib
from typing import Any

from experiments.runner.run.collector import search_rarely

search_rarely()


def from_pretrained(path: str | pathlib.Path) -> Any:
    """The trained model in a folder that the command `export` wrote, or in the folder of a run.

    Args:
      path: of the folder.

    Returns:
      What the experiment has for it, such as a `TrainedTagger` of `experiments.pos_tagging.model`.

    Raises:
      ValueError: if there is no model in the folder that can be exported.
    """
    from experiments.runner.export.modules import export_module
    from experiments.runner.run.folder import RunFolder

    folder = RunFolder.open(pathlib.Path(path))
    return export_module(folder).load(folder)
