"""Rows of measurements: how they are read, what they are called, and ratios of them."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

OURS, XLA_ALONE = "birnn", "birnn-xla"


def read(path: Path) -> list[dict]:
    """The rows of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def name(row: dict) -> str:
    """Of the point of a row."""
    return f"{group_name(row)} {shape_name(row)}"


def shape_name(row: dict) -> str:
    """B,T,D,H, and the layers where there are several."""
    return ",".join(map(str, row["shape"])) + f" x{row['layers']}" * (row["layers"] > 1)


def group_name(row: dict) -> str:
    """What the points of one table share."""
    precision = f" {row['precision']}" * (row["precision"] != "float32")
    option = f" {row['option']}" if row.get("option") else ""  # old rows have none
    return f"{row['cell']} {row['work']}" + option + " lengths" * row["lengths"] + precision


def conditions(rows: Iterable[dict]) -> str:
    """Where and when rows were measured: a Markdown list, one item per machine and day."""
    return "".join(f"- {line}\n" for line in dict.fromkeys(map(_condition, rows)) if line)


def _condition(row: dict) -> str:
    machine = row.get("machine")
    if not machine:
        return ""
    # That of our own kernels; the others choose for themselves.
    unit = machine["kernels"].partition(".")[0] if "kernels" in machine else "unrecorded"
    words = [machine["cpu"], f"instruction set {unit}", f"threads {machine['num_threads']}"]
    versions = machine["versions"]
    words += [f"{name} {versions[name]}" for name in ("jax", "torch") if name in versions]
    when = machine["date"] if "date" in machine else f"commit {machine['commit'][:8]}"
    return ", ".join([*words, when])


def ratios(points: Iterable[dict[str, dict]], name: str, ours: str = OURS) -> list[float]:
    """Time of a candidate over ours, at every point that has both."""
    pairs = [(point.get(name, {}), point.get(ours, {})) for point in points]
    return [a["median_s"] / b["median_s"] for a, b in pairs if "median_s" in a and "median_s" in b]


def geometric_mean(values: Sequence[float]) -> float | None:
    """None of no values."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else None
