"""Music of several voices: a network that goes on with it, and one that fills in what is missing.

    python -m experiments.music compose train
    python -m experiments.music compose generate chorale.mid --chord "D4 A4 F5 D6"
    python -m experiments.music infill train

Questions: how well does a causal network expect the next chord of a chorale, and how much better is
a missing voice or bar filled in from both sides than from one? The results are in
experiments/README.md.
"""

import dataclasses

import tyro

from experiments.music.compose import __main__ as compose_commands
from experiments.music.infill import __main__ as infill_commands
from experiments.runner.run.command import run_command

NAME = compose_commands.NAME


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compose:
    """Expect the next chord, and make music by going on from a first one."""

    command: tyro.conf.OmitSubcommandPrefixes[
        compose_commands.Train | compose_commands.Evaluate | compose_commands.Generate
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Infill:
    """Fill in a voice or a bar that is hidden, from what is around it."""

    command: tyro.conf.OmitSubcommandPrefixes[
        infill_commands.Train | infill_commands.Evaluate | infill_commands.Fill
    ]


def main() -> None:
    """The command line."""
    run_command(
        tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[Compose | Infill]],
        program=f"python -m experiments.{NAME}",
        description="Polyphonic music, gone on with and filled in.",
    )


if __name__ == "__main__":
    main()
