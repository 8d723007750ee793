"""The commands of `python -m experiments.time_series impute`."""

import dataclasses
import pathlib
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console

from experiments.imputation.baselines import BASELINES
from experiments.imputation.config import ImputeConfig, make_training
from experiments.imputation.findings import (
    GAPS,
    compare,
    errors_by_gap,
    hide_again,
    metrics_of,
    print_comparison,
    print_gaps,
)
from experiments.imputation.pictures import Filled, plot_filled, plot_gaps
from experiments.imputation.table import Table, read_table, write_table
from experiments.imputation.trained import (
    FEATURES,
    TrainedImputer,
    config_of,
    load_imputer,
    save_features,
)
from experiments.imputation.windows import Windows, cut_parts, measure_scale, split_rows
from experiments.runner import loop
from experiments.runner.curves import Panel, plot_curves
from experiments.runner.folder import RunFolder
from experiments.runner.journal import read_journal
from experiments.runner.machines import OnMachines
from experiments.runner.results import write_result
from experiments.runner.tasks import open_run, start_run

NAME, TASK = "time_series", "impute"
RUN = pathlib.Path("runs") / "time_series_impute"
DATA = ("table",)
_DRAWN_GAP = 6


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
        table, parts = _read_parts(self.config)
        folder = start_run(self.run_folder, NAME, TASK, self.config, DATA)
        scale = measure_scale(table, split_rows(table, *_cuts(self.config))["train"])
        save_features(folder.path / FEATURES, table, scale)
        loop.fit(folder, make_training(self.config, parts), console)
        _finish(folder, load_imputer(folder), table, parts["test"], console)


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
            windows = _read_parts(config)[1]["test"]
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


def _cuts(config: ImputeConfig) -> tuple[str, str]:
    return config.dev_from, config.test_from


def _read_parts(config: ImputeConfig) -> tuple[Table, dict[str, Windows]]:
    table = read_table(config.table)
    rows = split_rows(table, *_cuts(config))
    scale = measure_scale(table, rows["train"])
    options = {"steps": config.steps, "hidden": config.hidden, "seed": config.seed}
    return table, cut_parts(table, rows, scale, **options)


def _finish(
    folder: RunFolder, imputer: TrainedImputer, table: Table, test: Windows, console: Console
) -> None:
    """Tests the model, prints how it does, and leaves results and pictures in the run folder."""
    compared = compare(imputer.fill, test)
    print_comparison(compared, int(test.hidden.sum()), console)
    metrics = metrics_of(compared)
    write_result(folder, metrics)
    levels = {"straight lines": metrics["mae_straight_lines"]}
    panels = (
        Panel("Loss, all estimates", "loss", scale="log"),
        Panel("Mean absolute error, deviations", "mae", levels=levels),
    )
    plot_curves(folder.path / "curves.png", read_journal(folder.path / "metrics.jsonl"), panels)
    gap = min(_DRAWN_GAP, imputer.steps // 2)
    for name, windows in (("points", test), ("gaps", hide_again(test, gap, seed=0))):
        _draw(folder.path / f"{name}.png", imputer, table, windows)
    console.print(f"Everything is in {folder.path}; look at its points.png and gaps.png.")


def _draw(path: pathlib.Path, imputer: TrainedImputer, table: Table, windows: Windows) -> None:
    """Draws the window with gaps in the most features, and of those with the most values hidden."""
    hidden = windows.hidden.sum(axis=1)
    drawn = int(((hidden > 0).sum(axis=1) * windows.hidden[0].size + hidden.sum(axis=1)).argmax())
    estimates = imputer.fill(windows.values, windows.seen)[drawn]
    seen = windows.seen[drawn]
    values = np.where(seen | windows.hidden[drawn], windows.values[drawn], np.nan)
    first = windows.first_row + drawn * len(seen)
    stretch = (imputer.scale.restore(values), seen, imputer.scale.restore(estimates))
    filled = Filled(*stretch, table.names, table.times[first : first + len(seen)])
    plot_filled(path, filled, "A window of the test")
