"""Runs a command line: options to a dataclass, failures to one sentence and an exit status."""

import sys
from typing import Any, Protocol

import tyro


class Command(Protocol):
    """A dataclass of options that can be run."""

    def run(self) -> None:
        """Does what the command says."""
        ...


def run_command(commands: Any, *, program: str, description: str) -> None:
    """Parses the command line into one of `commands` and runs it.

    Exit status 1 after a failure, 130 after an interruption, 2 for options that do not parse.
    `python -X dev` shows where a failure came from.
    """
    try:
        command: Command = tyro.cli(commands, prog=program, description=description)
        command.run()
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        if sys.flags.dev_mode:
            raise
        _leave(f"error: {error}", 1)
    except KeyboardInterrupt as interruption:
        _leave(str(interruption) or "Interrupted.", 130)


def _leave(sentence: str, status: int) -> None:
    print(f"\n{sentence}" if status == 130 else sentence, file=sys.stderr)
    sys.exit(status)
