"""metrics.jsonl and clock.jsonl: lines that a resumed run takes up where its checkpoint stands."""

import contextlib
import json
import os
import pathlib
from typing import Any, TextIO

from experiments.runner.run.folder import write_text


class Journal:
    """A file of JSON lines, each with a "step", to which lines are added at the end."""

    def __init__(self, path: pathlib.Path, step: int):
        """Cuts the file back to `step`: what a killed process wrote after its last checkpoint."""
        self.before = [record for record in read_journal(path) if record["step"] <= step]
        self._path = path
        self._num_safe = len(self.before)  # lines on the disk, after which come:
        self._pending: list[dict[str, Any]] = []
        self._file = self._write_anew(self.before)

    def close(self) -> None:
        """Closes the file; what a full disk has not taken is lost."""
        with contextlib.suppress(OSError):
            self._file.close()

    def write(self, record: dict[str, Any]) -> None:
        """Adds a line."""
        self._pending.append(record)
        if not self._file.closed:
            try:
                self._file.write(_line(record))
            except OSError:  # `sync` says it
                self.close()

    def sync(self) -> None:
        """Returns once every line is on the disk, so that no checkpoint is ahead of its lines.

        Lines that a failure has torn are written anew.
        """
        if self._file.closed:
            safe = read_journal(self._path)[: self._num_safe]
            self._file = self._write_anew(safe + self._pending)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError:
            self.close()
            raise
        self._num_safe += len(self._pending)
        self._pending.clear()

    def _write_anew(self, records: list[dict[str, Any]]) -> TextIO:
        write_text(self._path, "".join(map(_line, records)))
        return self._path.open("a", encoding="utf-8")


def read_journal(path: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a file, up to a line that is none, as a killed process leaves it."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            break
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            break
        records.append(record)
    return records


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"
