"""An experiment: what its settings become in a run folder."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from rich.console import Console

from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.progress import printer
from experiments.runner.run.results import has_result, write_result
from experiments.runner.run.settings import Settings

S = TypeVar("S", bound=Settings)


class Prepared(NamedTuple):
    """What an experiment makes of its settings, before a run begins."""

    training: loop.Training
    finish: Callable[[RunFolder, Console], Mapping[str, float]]
    """Tests the trained model, draws, and gives the metrics of result.json."""
    files: Mapping[str, Callable[[pathlib.Path], None]] = {}
    """By its name what writes a file beside config.json, such as the vocabulary."""
    fit: Callable[[RunFolder, loop.Training, Console], None] | None = None
    """What trains in place of `loop.fit`."""
    learned: Mapping[str, Any] = {}
    """Settings that follow from the data, such as the digest of the vocabulary."""


@dataclasses.dataclass(frozen=True)
class Experiment(Generic[S]):
    """The runs of one experiment, or of one of its tasks."""

    name: str
    prepare: Callable[[S, pathlib.Path, Console], Prepared]  # settings, path of the run folder
    task: str = ""

    def train(self, settings: S, path: pathlib.Path) -> RunFolder:
        """Trains and tests in the folder `path`, unless it has its result.

        A training that was stopped goes on where it was. result.json is written last.
        """
        console = Console()
        tell = printer(console)
        prepared = self.prepare(settings, path, console)
        folder = self.start(settings, path, prepared.learned)
        if has_result(folder):
            tell(f"{path} has its result.")
            return folder
        for name, write in prepared.files.items():
            write(folder.path / name)
        (prepared.fit or loop.fit)(folder, prepared.training, console)
        write_result(folder, prepared.finish(folder, console))
        pictures = ", ".join(sorted(picture.name for picture in path.glob("*.png")))
        tell(f"Everything is in {path}" + (f"; look at {pictures}." if pictures else "."))
        return folder

    def start(self, settings: S, path: pathlib.Path, learned: Mapping[str, Any]) -> RunFolder:
        """Makes the folder of a run, or takes up one of the same settings and data."""
        task = {"task": self.task} if self.task else {}
        values = {**task, **settings.values, **learned}
        return RunFolder.start(path, experiment=self.name, settings=values, data=settings.files)

    def open(self, path: pathlib.Path) -> RunFolder:
        """Opens the folder of a run.

        Raises:
          ValueError: if there is none of this experiment and task.
        """
        folder = RunFolder.open(path, experiment=self.name)
        if self.task and folder.settings.get("task") != self.task:
            raise ValueError(
                f"{path} is a run of {self.name} {folder.settings.get('task')}, not of "
                f"{self.name} {self.task}; give another --run."
            )
        return folder
