"""Runs a command line: options to a dataclass, failures to one sentence and an exit status."""

import contextlib
import os
import sys
from typing import Any, Protocol

import tyro

from experiments.runner.devices.processes import RESUME, Interrupted, PartDone
from experiments.runner.run.compilation_cache import use_compilation_cache


class Command(Protocol):
    """A dataclass of options that can be run."""

    def run(self) -> None:
        """Does what the command says."""
        ...


def run_command(experiment: str, commands: Any, description: str) -> None:
    """Parses the command line into one of `commands` and runs it, or the `command` of a group.

    Exit status 1 after a failure, 75 after an interruption from which the same command goes on, 130
    after another, 141 where what is written is read no further, 2 for options that do not parse.
    `python -X dev` shows where a failure came from.
    """
    try:
        chosen = tyro.cli(
            commands, prog=f"python -m experiments.{experiment}", description=description
        )
        command: Command = getattr(chosen, "command", chosen)  # of a group of commands
        machines = getattr(command, "machines", None)
        with (
            use_compilation_cache(experiment),
            contextlib.nullcontext() if machines is None else machines.use(),
        ):
            command.run()
    except PartDone:
        return
    except BrokenPipeError:  # who read the answers has enough of them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        if sys.flags.dev_mode:
            raise
        _leave(f"error: {error}", 1)
    except Interrupted as interruption:
        _leave(str(interruption), RESUME)
    except KeyboardInterrupt:
        _leave("Interrupted.", 130)


def _leave(sentence: str, status: int) -> None:
    print(f"\n{sentence}" if status in (RESUME, 130) else sentence, file=sys.stderr)
    sys.exit(status)
