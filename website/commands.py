"""The help texts of every command, as Markdown, for the page of commands."""

import contextlib
import importlib
import io
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

MARK = "<!-- commands -->"
PLAIN = ("benchmarks.compare", "benchmarks.memory", "benchmarks.report", "birnn_jax.selfcheck")
_SUBCOMMANDS = re.compile(r"\[-h\] \{([\w,-]+)\}\s*$")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def describe_commands(root: pathlib.Path) -> str:
    """A section for each experiment, with the help text of each of its commands."""
    os.environ |= {"COLUMNS": "84", "JAX_PLATFORMS": "cpu", "NO_COLOR": "1"}
    names = sorted(path.parent.name for path in root.glob("experiments/*/__main__.py"))
    sections = [_section(f"experiments.{name}", f"experiments.{name}.__main__") for name in names]
    sections.append(_section("experiments.report", ""))
    return "\n\n".join([*sections, *(_block(name, _help_of_module(name)) for name in PLAIN)])


def _section(module: str, main: str) -> str:
    """The first lines of a command, and a block for each of those below it."""
    texts = _help_in_process(main) if main else _help_of_each(module)
    top, *below = texts
    sentence = top[1].partition("\n\n")[2].partition("\n\n")[0].strip()
    blocks = [_block(command, text) for command, text in below]
    return "\n\n".join([f"## python -m {module}", sentence, *blocks])


def _block(command: str, text: str) -> str:
    level = "##" if command in PLAIN else "###"
    return f"{level} {'python -m ' if level == '##' else ''}{command}\n\n```text\n{text}\n```"


def _help_in_process(main: str) -> list[tuple[str, str]]:
    """Of an experiment: what it gives to `run_command` is asked for help instead of run."""
    import tyro

    module: Any = importlib.import_module(main)
    given: list[Any] = []
    module.run_command = lambda *arguments: given.append(arguments)
    module.main()
    ((name, commands, description),) = given

    def ask(path: list[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            prog = f"python -m experiments.{name}"
            tyro.cli(commands, prog=prog, description=description, args=[*path, "--help"])
        return _plain(printed.getvalue())

    return _walk(ask, [])


def _help_of_each(module: str) -> list[tuple[str, str]]:
    return _walk(lambda path: _help_of_module(module, *path), [])


def _help_of_module(module: str, *path: str) -> str:
    command = [sys.executable, "-m", module, *path, "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return _plain(result.stdout)


def _walk(ask: Any, path: list[str]) -> list[tuple[str, str]]:
    """The help of a command and of all below it, in order, by their names."""
    text = ask(path)
    usage = " ".join(text.partition("\n\n")[0].split())
    match = _SUBCOMMANDS.search(usage)
    found = [(" ".join(path), text)]
    for name in match[1].split(",") if match else []:
        found += _walk(ask, [*path, name])
    return found


def _plain(text: str) -> str:
    """Without colours and without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in _COLOURS.sub("", text).strip().splitlines())
