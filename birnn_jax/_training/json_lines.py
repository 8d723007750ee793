"""Metrics as lines of JSON in a file, which a resumed training takes up where its checkpoint is."""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from .writers import Writer


class JsonLines(Writer):
    """Writes metrics to a file, one line of JSON a step: {"step": 3, "split": "train", ...}.

    A process that is killed leaves whole lines and perhaps a torn one. `start` removes that one,
    and all that were written after the checkpoint from which the training goes on. Lines that a
    full disk refuses stay in memory till the next `sync`.

    Args:
      path: of the file; its folder must exist.

    Example:
      >>> import tempfile
      >>> from birnn_jax.training import JsonLines
      >>> path = f"{tempfile.mkdtemp()}/metrics.jsonl"
      >>> with JsonLines(path) as writer:
      ...     writer.start(0, num_steps=2)
      ...     writer.write(1, "train", {"loss": 0.5})
      >>> JsonLines.read(path)
      [{'step': 1, 'split': 'train', 'loss': 0.5}]
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Opens nothing yet."""
        self._path = Path(path)
        self._file: TextIO | None = None
        self._num_safe = 0  # lines on the disk, after which come:
        self._pending: list[dict[str, Any]] = []

    @staticmethod
    def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
        """The records of a file, up to a line that is none, as a killed process leaves it."""
        if not Path(path).exists():
            return []
        records = []
        for line in Path(path).read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(record, dict) or not isinstance(record.get("step"), int):
                break
            records.append(record)
        return records

    def start(self, step: int, *, num_steps: int) -> None:
        """Cuts the file back to `step`."""
        before = [record for record in self.read(self._path) if record["step"] <= step]
        self._num_safe = len(before)
        self._file = self._write_anew(before)

    def write(self, step: int, split: str, metrics: Mapping[str, Any]) -> None:
        """Adds a line."""
        self.add({"step": step, "split": split, **metrics})

    def add(self, record: dict[str, Any]) -> None:
        """Adds a line of anything that has a "step"."""
        self._pending.append(record)
        if self._file is not None:
            try:
                self._file.write(_line(record))
            except OSError:  # `sync` says it
                self._close_file()

    def sync(self) -> None:
        """Returns once every line is on the disk; lines that a failure has torn are written anew.

        Raises:
          OSError: if they cannot be written.
        """
        if self._file is None:
            safe = self.read(self._path)[: self._num_safe]
            self._file = self._write_anew(safe + self._pending)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self._close_file()
            raise
        self._num_safe += len(self._pending)
        self._pending.clear()

    def close(self) -> None:
        """Closes the file; what a full disk has not taken is lost."""
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None

    def _write_anew(self, records: list[dict[str, Any]]) -> TextIO:
        """The file with these lines, there whole or not at all, opened to add more."""
        unfinished = self._path.with_name(self._path.name + ".unfinished")
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(map(_line, records))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._path)
        return self._path.open("a", encoding="utf-8")


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record) + "\n"
