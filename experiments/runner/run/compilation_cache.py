"""Compiled programs that later commands find again: JAX's persistent compilation cache.

A program is found by its text, the version of XLA and the options of its compilation. The text
names the build of the native kernels, so a program never calls kernels of another build. A program
that is found is the machine code of before: a run is the same, bit for bit, with and without.
"""

import contextlib
import glob
import hashlib
import os
import pathlib
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import filelock
import jax
import platformdirs
from jax.experimental.compilation_cache import compilation_cache

MAX_BYTES = 32 * 2**20  # of an experiment; what was not used for longest goes first
_SETTINGS = {
    "jax_compilation_cache_max_size": MAX_BYTES,
    "jax_persistent_cache_min_compile_time_secs": 0.0,  # by default a second
}
_FAILURE = re.compile(
    r"Error (?P<way>reading|writing) persistent compilation cache entry for '(?P<name>.*?)': "
    r"(?P<reason>.*)",
    re.DOTALL,
)


@contextlib.contextmanager
def use_compilation_cache(experiment: str) -> Iterator[None]:
    """Keeps what is compiled in a `with` block, and takes what was compiled before.

    What goes wrong with a file of the cache is said on standard error, and the program compiled.
    A cache that the caller chose, or switched off, by JAX's own settings stays as it is.
    """
    is_on, chosen = map(_read, ("jax_enable_compilation_cache", "jax_compilation_cache_dir"))
    folder = _open_folder(experiment) if is_on and not chosen else None
    if folder is None:
        yield
        return
    changes = {"jax_compilation_cache_dir": str(folder), **_SETTINGS}
    before = {name: _read(name) for name in changes}
    _update(changes)
    try:
        with _failures_told(folder):
            yield
    finally:
        _update(before)


def folder_of(experiment: str) -> pathlib.Path:
    """Where the programs of an experiment are, for processors with the instructions of this one."""
    processor = hashlib.sha256(f"{platform.machine()} {_instructions()}".encode()).hexdigest()[:8]
    return platformdirs.user_cache_path("birnn_jax") / "programs" / processor / experiment


def _open_folder(experiment: str) -> pathlib.Path | None:
    """The folder, ready to use; None if there cannot be one, after saying so."""
    folder = folder_of(experiment)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lockfile", timeout=10):
            _remove_unfinished(folder)
    except (OSError, filelock.Timeout) as error:
        _say(f"Compiled programs cannot be kept in {folder}: {error}. Each command compiles again.")
        return None
    return folder


def _remove_unfinished(folder: pathlib.Path) -> None:
    """Removes what a command that was killed left: JAX keeps two files of a program."""
    names = set(os.listdir(folder))
    for name in names:
        stem = name.removesuffix("-cache")
        if name != stem and f"{stem}-atime" not in names:
            (folder / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _failures_told(folder: pathlib.Path) -> Iterator[None]:
    """Says what JAX warns of, each way of failing once; removes programs that cannot be read."""
    show, told = warnings.showwarning, set()

    def tell(message, category, filename, lineno, file=None, line=None) -> None:
        failure = _FAILURE.match(str(message))
        if failure is None:
            return show(message, category, filename, lineno, file, line)
        way, name, reason = failure.group("way", "name", "reason")
        if way == "reading":
            for path in folder.glob(f"{glob.escape(name)}-*"):
                path.unlink(missing_ok=True)
        if way not in told:
            verb = "read" if way == "reading" else "kept"
            _say(f"The compiled program {name} cannot be {verb} in {folder}: {reason}")
        told.add(way)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=r"Error (reading|writing) persistent comp")
        warnings.showwarning = tell
        yield


def _read(name: str) -> Any:
    return getattr(jax.config, name)


def _update(settings: dict[str, object]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # it is opened anew


def _instructions() -> str:
    """The extensions that the processor has; on systems that do not list them, its name."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
