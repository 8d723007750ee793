"""An experiment: what its settings become in a run folder."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from rich.console import Console

from experiments.runner.run import loop
from experiments.runner.run.folder import RunFolder
from experiments.runner.run.origin import Origin, Start, frozen, load_origin, started_from
from experiments.runner.run.progress import printer
from experiments.runner.run.results import has_result, write_result
from experiments.runner.run.settings import Settings

S = TypeVar("S", bound=Settings)
FRESH = Start()


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
    grows: Sequence[str] = ()
    """Names of the parameters that have rows for words, characters or labels."""


@dataclasses.dataclass(frozen=True)
class Experiment(Generic[S]):
    """The runs of one experiment, or of one of its tasks."""

    name: str
    prepare: Callable[[S, pathlib.Path, Console, RunFolder | None], Prepared]
    """Of settings, the path of the run folder, and the run that the training starts from."""
    task: str = ""

    def train(self, settings: S, path: pathlib.Path, start: Start = FRESH) -> RunFolder:
        """Trains and tests in the folder `path`, unless it has its result.

        A training that was stopped goes on where it was. result.json is written last.
        """
        console = Console()
        tell = printer(console)
        source = None if start.run is None else self.open(start.run)
        if (path / "config.json").exists():
            settings = settings.taking_up(self.open(path))
        prepared = self.prepare(settings, path, console, source)
        training, origin = prepared.training, None
        if source is not None:
            origin = load_origin(source, training)
            training = started_from(training, origin, prepared.grows)
        training, names = frozen(training, start.freeze)
        folder = self.start(settings, path, prepared.learned, start, origin)
        if has_result(folder):
            tell(f"{path} has its result.")
            return folder
        for name, write in prepared.files.items():
            write(folder.path / name)
        if names:
            tell(f"Frozen: {', '.join(names)}.")
        (prepared.fit or loop.fit)(folder, training, console)
        write_result(folder, prepared.finish(folder, console))
        pictures = ", ".join(sorted(picture.name for picture in path.glob("*.png")))
        tell(f"Everything is in {path}" + (f"; look at {pictures}." if pictures else "."))
        return folder

    def start(
        self,
        settings: S,
        path: pathlib.Path,
        learned: Mapping[str, Any],
        start: Start = FRESH,
        origin: Origin | None = None,
    ) -> RunFolder:
        """Makes the folder of a run, or takes up one of the same settings, data and origin."""
        values = {**({"task": self.task} if self.task else {}), **settings.values, **learned}
        if start.freeze:
            values["freeze"] = start.freeze
        origin_of = {"run": str(start.run), "params": origin.digest} if origin else None
        return RunFolder.start(
            path, experiment=self.name, settings=values, data=settings.files, origin=origin_of
        )

    def open(self, path: pathlib.Path) -> RunFolder:
        """Opens the folder of a run.

        Raises:
          ValueError: if there is none of this experiment and task.
        """
        folder = RunFolder.open(path, experiment=self.name)
        if self.task and folder.settings.get("task") != self.task:
            raise ValueError(
                f"{path} is a run of {self.name} {folder.settings.get('task')}, not of "
                f"{self.name} {self.task}. Give the folder of a run of {self.name} {self.task}."
            )
        return folder
