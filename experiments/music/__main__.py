"""Music of several voices: a network that continues it, and one that fills in what is missing.

    python -m experiments.music compose train
    python -m experiments.music compose generate chorale.mid --chord "D4 A4 F5 D6"
    python -m experiments.music infill train

Questions: how well does a causal network expect the next chord of a chorale, and how much better is
a missing voice or bar filled in from both sides than from one? README.md of this folder has the
results.
"""

import tyro

from experiments.music.compose import commands as compose
from experiments.music.config import NAME
from experiments.music.infill import commands as infill
from experiments.runner.run.command_line import run_command
from experiments.runner.run.options import Options


class Compose(Options):
    """Predict the next chord, and generate music from a first chord."""

    command: tyro.conf.OmitSubcommandPrefixes[
        compose.Train | compose.Evaluate | compose.Generate | compose.Export
    ]


class Infill(Options):
    """Fill in a hidden voice or bar from the notes around it."""

    command: tyro.conf.OmitSubcommandPrefixes[
        infill.Train | infill.Evaluate | infill.Fill | infill.Export
    ]


def main() -> None:
    """The command line."""
    run_command(
        NAME,
        tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[Compose | Infill]],
        "Polyphonic music: continuation and infilling.",
    )


if __name__ == "__main__":
    main()
