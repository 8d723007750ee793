"""Runs a command line: options to a dataclass, failures to one sentence and an exit status."""

import contextlib
import dataclasses
import functools
import os
import sys
from typing import Any, Protocol, runtime_checkable

import tyro

from experiments.runner.devices.processes import RESUME, Interrupted, PartDone
from experiments.runner.run.collector import search_as_usual
from experiments.runner.run.compilation_cache import use_compilation_cache
from experiments.runner.run.help import HELP
from experiments.runner.run.options import Refused, parsing


class Command(Protocol):
    """A dataclass of options that can be run."""

    def run(self) -> None:
        """Does what the command says."""
        ...


@runtime_checkable
class HasDefaults(Protocol):
    """A command whose options decide what others are that are not given."""

    def defaults(self) -> Any:
        """The command with these, itself if there are none."""
        ...


def run_command(experiment: str, commands: Any, description: str) -> None:
    """Parses the command line into one of `commands` and runs it, or the `command` of a group.

    Exit status 1 after a failure, 75 after an interruption from which the same command goes on, 130
    after another, 141 where what is written is read no further, 2 for options that do not parse.
    `python -X dev` shows where a failure came from.
    """
    search_as_usual()
    try:
        parse = functools.partial(
            _parse, commands, prog=f"python -m experiments.{experiment}", description=description
        )
        chosen = parse()
        defaults = _with_defaults(chosen)
        command = _command_of(chosen if defaults is chosen else parse(default=defaults))
        machines = getattr(command, "machines", None)
        with (
            use_compilation_cache(experiment),
            contextlib.nullcontext() if machines is None else machines.use(),
        ):
            command.run()
    except Refused as refusal:
        _leave(f"error: {refusal}", 2)
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


def _command_of(chosen: Any) -> Command:
    """The command, also of a group of commands."""
    return getattr(chosen, "command", chosen)


def _with_defaults(chosen: Any) -> Any:
    """What was chosen, with the defaults that follow from its own options, such as --from."""
    command = _command_of(chosen)
    defaults = command.defaults() if isinstance(command, HasDefaults) else command
    if defaults is command:
        return chosen
    return defaults if command is chosen else dataclasses.replace(chosen, command=defaults)


def _parse(commands: Any, **options: Any) -> Any:
    with parsing():
        return tyro.cli(commands, registry=HELP, **options)


def _leave(sentence: str, status: int) -> None:
    print(f"\n{sentence}" if status in (RESUME, 130) else sentence, file=sys.stderr)
    sys.exit(status)
