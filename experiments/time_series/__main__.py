"""Series of measurements: whole series classified, and missing values filled in.

    python -m experiments.time_series classify train
    python -m experiments.time_series impute train --table ETTh1.csv

Questions: does a plain bidirectional network tell series of different lengths apart as well as what
was made for it, and what does the second direction give to the filling of gaps? The results are in
experiments/README.md.
"""

import dataclasses

import tyro

from experiments.runner.run.command import run_command
from experiments.time_series.classify import __main__ as series
from experiments.time_series.impute import __main__ as imputation

NAME = series.NAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classify:
    """Tell which class a whole series is of, such as who speaks, or which gesture it is."""

    command: tyro.conf.OmitSubcommandPrefixes[series.Train | series.Evaluate | series.Predict]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Impute:
    """Fill in the missing values of a table of measurements."""

    command: tyro.conf.OmitSubcommandPrefixes[
        imputation.Train | imputation.Evaluate | imputation.Predict
    ]


def main() -> None:
    """The command line."""
    run_command(
        tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[Classify | Impute]],
        program=f"python -m experiments.{NAME}",
        description="Series of measurements, classified and completed.",
    )


if __name__ == "__main__":
    main()
