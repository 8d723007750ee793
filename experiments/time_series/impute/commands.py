"""The commands of `python -m experiments.time_series impute`."""

import pathlib
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from experiments.runner.data.files import require_new
from experiments.runner.run.commands import FileEncoding, NewRun, OldRun, RunCommand, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.options import Options
from experiments.time_series.impute.baselines import BASELINES
from experiments.time_series.impute.config import ImputeConfig
from experiments.time_series.impute.data import read_parts
from experiments.time_series.impute.model import (
    FEATURES,
    load_imputer,
    make_training,
    save_features,
)
from experiments.time_series.impute.report import (
    GAPS,
    Filled,
    compare,
    errors_by_gap,
    finish,
    plot_filled,
    plot_gaps,
    print_comparison,
    print_gaps,
)
from experiments.time_series.impute.table import read_table, write_table

NAME = "time_series"
RUN = pathlib.Path("runs") / f"{NAME}_impute"


def prepare(config: ImputeConfig, path: pathlib.Path, console: Console) -> Prepared:
    """Reads the table of a run, and says what to train and to test."""
    table, scale, parts = read_parts(config)
    return Prepared(
        make_training(config, parts),
        lambda folder, console: finish(folder, load_imputer(folder), table, parts["test"], console),
        files={FEATURES: lambda path: save_features(path, table.names, scale)},
    )


EXPERIMENT = Experiment(NAME, prepare, task="impute")


class Train(TrainCommand):
    """Train a model to fill in missing values, or resume a training that was stopped, and test it.

    The run folder also gets features.json, curves.png, and pictures of the filled values,
    points.png and gaps.png.
    """

    experiment = EXPERIMENT
    config: tyro.conf.OmitArgPrefixes[ImputeConfig]
    run_folder: NewRun = RUN


class Evaluate(Options):
    """Measure the errors of trained models by the length of the gaps, beside methods without a
    model.

    The first line is the test of the run, with the same single values hidden. In the next lines, a
    tenth of all values is hidden in longer and longer gaps of one feature.
    """

    runs: Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(name="run")] = (RUN,)
    """Run folders, of one table. To see what the second direction gives, train another with
    --direction fwd."""
    picture: pathlib.Path | None = None
    """Where to draw how errors grow with the gaps."""

    def run(self) -> None:
        """Measures, prints and draws."""
        console = Console()
        imputers = [load_imputer(EXPERIMENT.open(path)) for path in self.runs]
        shortest = min(imputer.config.steps for imputer in imputers)
        gaps = [gap for gap in GAPS if gap < shortest]
        rows: dict[str, list[float]] = {}
        for path, imputer in zip(self.runs, imputers, strict=True):
            direction = f"direction {imputer.config.direction}"
            windows = read_parts(imputer.config).windows["test"]
            console.print(f"{path}, {direction}", highlight=False)
            compared = compare(imputer.fill, windows)
            print_comparison(compared, int(windows.hidden.sum()), console)
            for name, fill in {direction: imputer.fill, **BASELINES}.items():
                rows[name] = errors_by_gap(fill, windows, gaps, seed=0)
        print_gaps(rows, gaps, console)
        if self.picture:
            plot_gaps(self.picture, rows, gaps)


class Predict(RunCommand):
    """Write a table again with its missing values filled in."""

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    table: tyro.conf.Positional[pathlib.Path]
    """Measurements, in the format of train, with the columns of the run; empty where missing."""
    out: pathlib.Path
    """File to write; it must not exist yet."""
    picture: pathlib.Path | None = None
    """Where to draw the first windows that have a gap."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Completes, writes and says how much was missing."""
        require_new(self.out)
        imputer = load_imputer(self.folder)
        steps = imputer.config.steps
        reading = imputer.config.reading(self.encoding)
        table = read_table(self.table, reading)
        reading.tell()
        completed = imputer.complete(table)
        write_table(self.out, table._replace(values=completed))
        missing = np.isnan(table.values)
        print(f"{self.out}: {missing.sum():,} of {missing.size:,} values were filled in.")
        if self.picture and missing.any():
            first = max(0, int(np.flatnonzero(missing.any(axis=1))[0]) - steps // 4)
            rows = slice(first, first + 2 * steps)
            stretch = (table.values[rows], ~missing[rows], completed[rows])
            filled = Filled(*stretch, table.names, table.times[rows])
            plot_filled(self.picture, filled, f"{self.table.name}, filled in")
