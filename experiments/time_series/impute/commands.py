"""The commands of `python -m experiments.time_series impute`."""

import itertools
import pathlib
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from experiments.runner.data.files import require_new
from experiments.runner.data.reading import file_or_standard_input
from experiments.runner.export.command import ExportCommand
from experiments.runner.run.commands import FileEncoding, NewRun, OldRun, TrainCommand
from experiments.runner.run.experiment import Experiment, Prepared
from experiments.runner.run.folder import RunFolder, write_text
from experiments.runner.run.options import Options
from experiments.runner.run.predicting import PredictCommand, Predictor
from experiments.time_series.impute.baselines import BASELINES
from experiments.time_series.impute.config import ImputeConfig
from experiments.time_series.impute.data import read_parts, require_features
from experiments.time_series.impute.model import (
    FEATURES,
    TrainedImputer,
    load_features,
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
from experiments.time_series.impute.table import Table, read_table, write_fields, write_line

NAME = "time_series"
RUN = pathlib.Path("runs") / f"{NAME}_impute"
_WINDOWS = 256  # that are read at once


def prepare(
    config: ImputeConfig, path: pathlib.Path, console: Console, origin: RunFolder | None = None
) -> Prepared:
    """Reads the table of a run, and says what to train and to test."""
    known = None if origin is None else load_features(origin.path / FEATURES)
    table, scale, parts = read_parts(config, known)
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


class Predict(PredictCommand):
    """Fill in the missing values of a table, and write it as CSV or as JSON lines.

    A JSON record has time, values, and filled, the names of the values that were missing.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
    table: tyro.conf.Positional[pathlib.Path]
    """Measurements in the format of train, with the columns of the run; missing values are empty. -
    is standard input."""
    out: pathlib.Path | None = None
    """File to write, which must not exist yet; standard output if not given."""
    picture: pathlib.Path | None = None
    """Where to draw the first windows that have a gap."""
    encoding: FileEncoding = None

    def run(self) -> None:
        """Completes, writes and says how much was missing."""
        if self.out:
            require_new(self.out)
        imputer = load_imputer(self.folder)
        reading = imputer.config.reading(self.encoding)
        path = file_or_standard_input(self.table)
        table = read_table(path, reading)
        reading.tell()
        require_features(table, imputer.names)
        rows = range(len(table.times))
        predictor = _predictor(imputer, table)
        if not self.out:
            if not self.json:
                print(write_line([table.time_name, *table.names]))
            self.write(rows, predictor)
        else:
            head = [] if self.json else [write_line([table.time_name, *table.names])]
            answers = self.answers(rows, predictor, is_printed=False)
            lines = [*head, *itertools.chain.from_iterable(answers)]
            write_text(self.out, "\n".join(lines) + "\n")
            missing = np.isnan(table.values)
            print(f"{self.out}: {missing.sum():,} of {missing.size:,} values were filled in.")
        if self.picture:
            _draw(self.picture, imputer, table, f"{path.name}, filled in")


def _predictor(imputer: TrainedImputer, table: Table) -> Predictor[int, np.ndarray]:
    """Of the rows of a table, which follow one another."""
    missing = np.isnan(table.values)

    def record(row: int, values: np.ndarray) -> dict[str, Any]:
        filled = [name for name, lacks in zip(table.names, missing[row], strict=True) if lacks]
        named = dict(zip(table.names, values.tolist(), strict=True))
        return {"time": table.times[row], "values": named, "filled": filled}

    return Predictor(
        predict=lambda rows: [*imputer.complete(table, range(rows[0], rows[-1] + 1))],
        text=lambda row, values: write_line(
            [table.times[row], *write_fields(values, missing[row])]
        ),
        record=record,
        at_once=_WINDOWS * imputer.config.steps,
    )


def _draw(path: pathlib.Path, imputer: TrainedImputer, table: Table, title: str) -> None:
    """Draws the first windows that have a gap, if any has."""
    missing, steps = np.isnan(table.values), imputer.config.steps
    if not missing.any():
        return
    first = max(0, int(np.flatnonzero(missing.any(axis=1))[0]) - steps // 4)
    rows = range(first, min(first + 2 * steps, len(missing)))
    there = slice(rows.start, rows.stop)
    stretch = (table.values[there], ~missing[there], imputer.complete(table, rows))
    plot_filled(path, Filled(*stretch, table.names, table.times[there]), title)


class Export(ExportCommand):
    """Export a trained model to a folder: ONNX, StableHLO, weights, model card.

    Needs the packages of the extra interop.
    """

    experiment = EXPERIMENT
    run_folder: OldRun = RUN
