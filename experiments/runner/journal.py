"""metrics.jsonl and clock.jsonl: lines that a resumed run takes up where its checkpoint stands."""

import json
import os
import pathlib
from typing import Any

from experiments.runner.folder import write_text


class Journal:
    """A file of JSON lines, each with a "step", to which lines are added at the end."""

    def __init__(self, path: pathlib.Path, step: int):
        """Cuts the file back to `step`: what a killed process wrote after its last checkpoint."""
        self.records = [record for record in read_journal(path) if record["step"] <= step]
        write_text(path, "".join(map(_line, self.records)))
        self._file = path.open("a", encoding="utf-8")

    def __enter__(self) -> "Journal":
        """Gives the journal itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Closes the file."""
        self._file.close()

    def write(self, record: dict[str, Any]) -> None:
        """Adds a line."""
        self.records.append(record)
        self._file.write(_line(record))

    def sync(self) -> None:
        """Returns once every line is on the disk, so that no checkpoint is ahead of its lines."""
        self._file.flush()
        os.fsync(self._file.fileno())


def read_journal(path: pathlib.Path) -> list[dict[str, Any]]:
    """The records of a file, up to a line that a killed process left unfinished."""
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record) + "\n"
