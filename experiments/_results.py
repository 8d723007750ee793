"""The numbers at the end of a run."""

import json
from collections.abc import Mapping
from typing import Any

from experiments._folder import RunFolder, write_json
from experiments._journal import read_journal


def write_result(folder: RunFolder, metrics: Mapping[str, float]) -> None:
    """Writes result.json: the metrics on test, and what it took to get there."""
    clock = read_journal(folder.path / "clock.jsonl")
    result = {
        "metrics": dict(metrics),
        "seed": folder.settings["seed"],
        "steps": clock[-1]["step"],
        "seconds": round(sum(record["seconds"] for record in clock), 1),
    }
    write_json(folder.path / "result.json", result)


def read_result(folder: RunFolder) -> dict[str, Any]:
    """Reads what `write_result` wrote.

    Raises:
      ValueError: if the run has not come to its end.
    """
    try:
        return json.loads((folder.path / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder.path} has no result yet: let its training end first.") from None
