"""The folder of a run: what was asked for, where it ran, and what came of it.

    config.json        settings and digests of the data: what the run is
    environment.json   versions, hardware, commit, command: where it started
    metrics.jsonl      one line a training step, one an evaluation; the same in every repetition
    clock.jsonl        the time each stretch took; different in every repetition
    checkpoints/       parameters, optimiser, step, position in the data
    result.json        the numbers at the end

Whatever is written whole appears by one rename, so that a process killed at any moment leaves a
folder that the next one can read.
"""

import atexit
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import jax

from experiments.runner.data.files import read_json

# Settings that runs of before do not name, with the values that they had without a name.
_NEW_SETTINGS = {
    "encoding": "utf-8",
    "vectors_encoding": "utf-8",
    "strict": False,
    "segmentation": "words",
    "hold_out_dev": True,
    "steps": 0,
    "speeds": [1.0],
    "cut": 0.0,
    "silence": 0.0,
    "freeze": [],
    "frequency_masks": [0, 0],
    "time_masks": [0, 0],
}
RUN_OF_EXPORT = "run"
"""Folder in an exported model with what its run folder had: settings and vocabulary."""
_PACKAGES = ("jax", "jaxlib", "optax", "orbax-checkpoint", "grain", "numpy")


class RunFolder:
    """A run folder of one experiment. Make it with `start` or `open`."""

    def __init__(self, path: pathlib.Path, config: dict[str, Any]):
        """Takes the content of config.json as it is."""
        self.path = path
        self.config = config

    @classmethod
    def start(
        cls,
        path: pathlib.Path,
        *,
        experiment: str,
        settings: Mapping[str, Any],
        data: Mapping[str, pathlib.Path],
        origin: Mapping[str, str] | None = None,
    ) -> "RunFolder":
        """Makes the folder, or takes up one that was made with the same settings and data.

        `origin` names the run that the training starts from, and the digest of its parameters.

        Raises:
          ValueError: if the folder holds something else; names every difference.
        """
        config = {
            "experiment": experiment,
            "settings": _plain(settings),
            "data": {name: {"path": str(p), "sha256": digest_of(p)} for name, p in data.items()},
            **({"origin": dict(origin)} if origin else {}),
        }
        if jax.process_index() > 0:  # helps with the steps, and writes nothing that is kept
            scratch = pathlib.Path(tempfile.mkdtemp())
            atexit.register(shutil.rmtree, scratch, ignore_errors=True)
            return cls(scratch, config)
        if _is_exported(path):
            raise ValueError(
                f"{path} holds an exported model, which cannot be trained; give another --run."
            )
        if (path / "config.json").exists():
            folder = cls.open(path, experiment=experiment)
            _refuse_differences(path, folder.identity, cls(path, config).identity)
            return folder
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_json(path / "environment.json", environment())
            write_json(path / "config.json", config)
        except OSError as error:
            raise OSError(
                f"Cannot keep a run in {path}: {error.strerror}. Give a folder that can be written "
                "with --run."
            ) from error
        return cls(path, config)

    @classmethod
    def open(cls, path: pathlib.Path, *, experiment: str | None = None) -> "RunFolder":
        """Opens a folder that `start` made, or that of an exported model.

        None stands for any experiment.

        Raises:
          ValueError: if there is no run of this experiment in the folder.
        """
        if _is_exported(path):
            path = path / RUN_OF_EXPORT
        config = _read_config(path)
        if experiment is not None and config["experiment"] != experiment:
            raise ValueError(
                f"{path} is a run of {config['experiment']}, not of {experiment}. Give the folder "
                f"of a run of {experiment}."
            )
        return cls(path, config)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run, as JSON has them."""
        return self.config["settings"]

    @property
    def identity(self) -> dict[str, Any]:
        """What makes a run this run: a data file counts by its content, wherever it lies."""
        data = self.config["data"]
        digests = {f"content of --{name}": data[name]["sha256"][:8] for name in data}
        origin = self.config.get("origin", {})
        if "params" in origin:
            digests["parameters of --from"] = origin["params"]
        return _NEW_SETTINGS | self.settings | digests


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON so that the file is either the old one or the whole new one."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes text so that the file is either the old one or the whole new one."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes bytes so that the file is either the old one or the whole new one."""
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def environment() -> dict[str, Any]:
    """Versions, hardware, commit and command of this process."""
    commit = _git("rev-parse", "HEAD")
    return {
        "command": sys.argv,
        "commit": commit,
        "uncommitted_changes": bool(_git("status", "--porcelain")) if commit else None,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "devices": [device.device_kind for device in jax.devices()],
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def _is_exported(path: pathlib.Path) -> bool:
    return (path / RUN_OF_EXPORT / "config.json").exists()


def _read_config(path: pathlib.Path) -> dict[str, Any]:
    what = "the configuration of a run"
    try:
        config = read_json(path / "config.json", what)
    except FileNotFoundError:
        raise ValueError(
            f"{path} is not a run folder: it has no config.json. Train a model first, or give the "
            "folder of a trained one."
        ) from None
    kinds = {"experiment": str, "settings": dict, "data": dict}
    whole = all(isinstance(config.get(name), kind) for name, kind in kinds.items())
    whole = whole and isinstance(config.get("origin", {}), dict)
    if not whole or not all(map(_is_file, config["data"].values())):
        raise ValueError(f"{path / 'config.json'} is not {what}.")
    return config


def _is_file(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(name), str) for name in ("path", "sha256")
    )


def _refuse_differences(path: pathlib.Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if names:
        was = ", ".join(f"{name} {old.get(name)}" for name in names)
        now = ", ".join(f"{name} {new.get(name)}" for name in names)
        raise ValueError(
            f"{path} holds a run with {was}, not {now}. Repeat the settings of that run to go on "
            "with it, or give another --run."
        )


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(dict(settings), default=str))


def digest_of(path: pathlib.Path) -> str:
    """The SHA-256 of a file's bytes; of a folder's files, names and bytes."""
    if not path.exists():
        raise ValueError(f"{path} does not exist.")
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    total = hashlib.sha256()
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        total.update(f"{file.relative_to(path)} {digest_of(file)}\n".encode())
    return total.hexdigest()


def _git(*arguments: str) -> str | None:
    here = pathlib.Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
