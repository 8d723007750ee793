"""Series of measurements: whole series classified, and missing values filled in.

    python -m experiments.time_series classify train
    python -m experiments.time_series impute train --table ETTh1.csv

Questions: does a plain bidirectional network tell series of different lengths apart as well as what
was made for it, and what does the second direction give to the filling of gaps? README.md of this
folder has the results.
"""

import tyro

from experiments.runner.run.command_line import run_command
from experiments.runner.run.options import Options
from experiments.time_series.classify import commands as classify
from experiments.time_series.impute import commands as impute

NAME = classify.NAME


class Classify(Options):
    """Classify whole series, for example by speaker or by gesture."""

    command: tyro.conf.OmitSubcommandPrefixes[
        classify.Train | classify.Evaluate | classify.Predict | classify.Export
    ]


class Impute(Options):
    """Fill in the missing values of a table of measurements."""

    command: tyro.conf.OmitSubcommandPrefixes[
        impute.Train | impute.Evaluate | impute.Predict | impute.Export
    ]


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[Classify | Impute]],
        "Series of measurements, classified and completed.",
    )


if __name__ == "__main__":
    main()
