"""Recorded rows as limits of new ones: what may not grow by more than a tenth."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

_SLACK = 1.1
_TIME = "compile_relative"
_MEASURES = {
    "launches_per_step": "kernels a step",
    "temporary_bytes": "bytes of temporary memory",
    _TIME: "times the yardstick's CPU time of compiling",
}


def read(path: Path, *, times: bool = True) -> dict[tuple[str, str], dict]:
    """The rows of a file, by target and program; none if it is not there."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    if not times:
        rows = [{name: row[name] for name in row if name != _TIME} for row in rows]
    return {(row["target"], row["program"]): row for row in rows}


def compiles_slowly(row: Mapping, recorded: Mapping[tuple[str, str], Mapping]) -> bool:
    """True if the time of compiling, of all limits, is passed."""
    before = recorded.get((row["target"], row["program"]), {})
    return row[_TIME] > before.get(_TIME, float("inf")) * _SLACK


def find_passed(row: Mapping, recorded: Mapping[tuple[str, str], Mapping]) -> Iterator[str]:
    """A sentence for each limit that a row passes."""
    name = f"{row['target']}, {row['program']}"
    before = recorded.get((row["target"], row["program"]), {})
    if "error" in row:
        if row["error"] != before.get("error"):
            yield f"{name}: does not compile. {row['error']}"
        return
    if row["collectives_in_loops"]:
        yield f"{name}: {row['collectives_in_loops']} collectives in loops, none is allowed."
    for measure, what in _MEASURES.items():
        limit = before.get(measure, float("inf")) * _SLACK
        if row[measure] > limit:
            yield f"{name}: {row[measure]:,.4g} {what}, recorded were {before[measure]:,.4g}."


def describe(row: Mapping) -> str:
    """A line for people."""
    name = f"{row['target']:5} {row['program']}"
    if "error" in row:
        return f"{name}: {row['error']}"
    copies = f", {row['copies_in_loops']} copies in loops" * bool(row["copies_in_loops"])
    shared = f", {row['collectives']} collectives" * bool(row["collectives"])
    kernels = "".join(
        f", a kernel of {kernel['registers']} registers, {kernel['spilled_bytes']} bytes spilled, "
        f"{kernel['shared_bytes']:,} bytes of shared memory"
        for kernel in row.get("mosaic_kernels", ())
    )
    return (
        f"{name}: {row['launches_per_step']:.1f} kernels a step, "
        f"{row['temporary_bytes'] / 2**20:.1f} MiB, compiled in "
        f"{row['compile_cpu_s']:.1f} CPU s{copies}{shared}{kernels}"
    )
