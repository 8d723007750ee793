"""The commands of `python -m experiments.time_series impute`."""

import dataclasses
import pathlib
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from experiments.runner.devices.machines import OnMachines
from experiments.runner.run import loop
from experiments.runner.run.tasks import open_run, start_run
from experiments.time_series.impute.baselines import BASELINES
from experiments.time_series.impute.config import ImputeConfig
from experiments.time_series.impute.data import cuts, measure_scale, read_parts, split_rows
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
from experiments.time_series.impute.training import (
    FEATURES,
    config_of,
    load_imputer,
    make_training,
    save_features,
)

NAME, TASK = "time_series", "impute"
RUN = pathlib.Path("runs") / "time_series_impute"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(OnMachines):
    """Train a model to fill in missing values, or go on with a training that was stopped.

    The run folder gets config.json, environment.json, metrics.jsonl, checkpoints, features.json,
    result.json, curves.png, and pictures of what was filled in, points.png and gaps.png. A training
    that was killed or interrupted goes on with the same command, and ends exactly as if it had not
    been.
    """

    config: tyro.conf.OmitArgPrefixes[ImputeConfig]
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder: made, or, if it holds an unfinished run with the same settings, gone on with."""

    def run(self) -> None:
        """Trains and reports."""
        console = Console()
        table, parts = read_parts(self.config)
        folder = start_run(self.run_folder, NAME, TASK, self.config, {"table": self.config.table})
        scale = measure_scale(table, split_rows(table, *cuts(self.config))["train"])
        save_features(folder.path / FEATURES, table, scale)
        loop.fit(folder, make_training(self.config, parts), console)
        finish(folder, load_imputer(folder), table, parts["test"], console)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Measure what trained models fill in, by the length of the gaps, beside what needs no model.

    The first line is that of the test of the run: single values are hidden, the same as there. Then
    a tenth of all values is hidden in gaps of one feature, of more and more steps.
    """

    runs: Annotated[tuple[pathlib.Path, ...], tyro.conf.arg(name="run")] = (RUN,)
    """Run folders, of one table. To see what the second direction gives, train another with
    --direction fwd."""
    picture: pathlib.Path | None = None
    """Where to draw how errors grow with the gaps."""

    def run(self) -> None:
        """Measures, prints and draws."""
        console = Console()
        folders = [open_run(path, NAME, TASK) for path in self.runs]
        shortest = min(config_of(folder).steps for folder in folders)
        gaps = [gap for gap in GAPS if gap < shortest]
        rows: dict[str, list[float]] = {}
        for folder in folders:
            imputer, config = load_imputer(folder), config_of(folder)
            windows = read_parts(config)[1]["test"]
            console.print(f"{folder.path}, direction {config.direction}", highlight=False)
            compared = compare(imputer.fill, windows)
            print_comparison(compared, int(windows.hidden.sum()), console)
            for name, fill in {f"direction {config.direction}": imputer.fill, **BASELINES}.items():
                rows[name] = errors_by_gap(fill, windows, gaps, seed=0)
        print_gaps(rows, gaps, console)
        if self.picture:
            plot_gaps(self.picture, rows, gaps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Predict:
    """Write a table again with its missing values filled in."""

    table: tyro.conf.Positional[pathlib.Path]
    """Measurements, in the format of train, with the columns of the run; empty where missing."""
    run_folder: Annotated[pathlib.Path, tyro.conf.arg(name="run")] = RUN
    """Run folder of the model. Nothing else is read."""
    out: pathlib.Path
    """File to write; it must not exist yet."""
    picture: pathlib.Path | None = None
    """Where to draw the first windows that have a gap."""

    def run(self) -> None:
        """Completes, writes and says how much was missing."""
        if self.out.exists():
            raise ValueError(f"{self.out} exists already: give another --out, or remove it first.")
        imputer = load_imputer(open_run(self.run_folder, NAME, TASK))
        table = read_table(self.table)
        completed = imputer.complete(table)
        write_table(self.out, table._replace(values=completed))
        missing = np.isnan(table.values)
        print(f"{self.out}: {missing.sum():,} of {missing.size:,} values were filled in.")
        if self.picture and missing.any():
            first = max(0, int(np.flatnonzero(missing.any(axis=1))[0]) - imputer.steps // 4)
            rows = slice(first, first + 2 * imputer.steps)
            stretch = (table.values[rows], ~missing[rows], completed[rows])
            filled = Filled(*stretch, table.names, table.times[rows])
            plot_filled(self.picture, filled, f"{self.table.name}, filled in")
