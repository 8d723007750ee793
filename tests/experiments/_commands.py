"""Runs the command line of an experiment in this process."""

import io
import sys
from types import ModuleType


def command(monkeypatch, module: ModuleType, *words) -> int:
    """Runs `python -m` of the module with these words; returns its exit status."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words)])
    try:
        module.main()
    except SystemExit as leaving:
        return leaving.code
    return 0


def options(**values) -> list[str]:
    """Settings as words of a command line; of one that is True the name alone."""
    words = []
    for name, value in values.items():
        several = value if isinstance(value, tuple) else () if value is True else (value,)
        words += [f"--{name.replace('_', '-')}", *map(str, several)]
    return words


def standard_input(monkeypatch, content: bytes) -> None:
    """Gives bytes as standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
