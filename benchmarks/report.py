"""Tables and plots of measurements: `python -m benchmarks.report results/FILE --plots FOLDER`."""

import argparse
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import _cells_table
from benchmarks._points import JAX_PEERS
from benchmarks._rows import (
    OURS,
    XLA_ALONE,
    conditions,
    geometric_mean,
    group_name,
    name,
    ratios,
    read,
    shape_name,
)

RESULTS = Path(__file__).parent / "results"
SLOWER = 0.9  # of the recorded ratio, as a geometric mean over the points


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table, and draws if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--summary", action="store_true", help="one line for each cell and work")
    parser.add_argument("--cells", action="store_true", help="the suite cells, one line a cell")
    parser.add_argument("--plots", type=Path, help="a folder for the plots")
    options = parser.parse_args(arguments)
    rows = [row for path in options.files for row in read(path)]
    kinds = {options.summary: summary, options.cells: _cells_table.table}
    print(kinds.get(True, table)(rows))
    if options.plots:
        from benchmarks import _plots  # matplotlib is wanted for this alone

        _plots.draw(rows, options.plots)


def table(rows: Sequence[dict]) -> str:
    """Markdown: one table for each cell and work, one line a point, milliseconds and ratios."""
    groups = _groups_by_shape(rows)
    tables = [_group_table(title, points) for title, points in groups.items()]
    return "\n\n".join([conditions(rows).rstrip(), *tables]).lstrip()


def _groups_by_shape(rows: Iterable[dict]) -> dict[str, dict[str, dict[str, dict]]]:
    """By group, by shape, by candidate."""
    groups: dict[str, dict[str, dict[str, dict]]] = {}
    for row in rows:
        group = groups.setdefault(group_name(row), {})
        group.setdefault(shape_name(row), {})[row["candidate"]] = row
    return groups


def summary(rows: Sequence[dict]) -> str:
    """Markdown, one line for each cell and work: mean ratios, and in brackets the worst ones."""
    lines = [
        *conditions(rows).splitlines(),
        *[""] * any("machine" in row for row in rows),
        "| | PyTorch | Flax Linen | slowest gain over any JAX peer | of the GEMM peak "
        "| XLA alone: Flax Linen | slowest gain of XLA alone |",
        "| --- |" + " --- |" * 6,
    ]
    for title, by_shape in _groups_by_shape(rows).items():
        points = list(by_shape.values())
        cells = [
            _mean_and_worst(ratios(points, "torch")),
            _mean_and_worst(ratios(points, "flax-linen")),
            _slowest_gain(points, OURS),
            _gemm_percent(points),
            _mean_and_worst(ratios(points, "flax-linen", XLA_ALONE)),
            _slowest_gain(points, XLA_ALONE),
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean_and_worst(values: list[float]) -> str:
    mean = geometric_mean(values)
    return f"{mean:.2f} ({min(values):.2f})" if mean else ""


def _slowest_gain(points: Sequence[dict[str, dict]], ours: str) -> str:
    gains = [(min(ratios(points, peer, ours), default=math.inf), peer) for peer in JAX_PEERS]
    gain, peer = min(gains)
    return f"{gain:.2f}, {peer}" if gain < math.inf else ""


def _gemm_percent(points: Sequence[dict[str, dict]]) -> str:
    fractions = [point.get(OURS, {}).get("gemm_fraction") for point in points]
    known = [fraction for fraction in fractions if fraction is not None]
    return f"{100 * statistics.median(known):.0f}%" if known else ""


def _group_table(title: str, points: dict[str, dict[str, dict]]) -> str:
    candidates = list(dict.fromkeys(name for point in points.values() for name in point))
    lines = [
        f"**{title}**, ms (times {OURS})",
        "| B,T,D,H | " + " | ".join(candidates) + " |",
        "| --- |" + " --- |" * len(candidates),
    ]
    for shape, point in points.items():
        cells = [_cell(point.get(name), point.get(OURS)) for name in candidates]
        lines.append(f"| {shape} | " + " | ".join(cells) + " |")
    means = [geometric_mean(ratios(points.values(), name)) for name in candidates]
    lines.append("| mean ratio | " + " | ".join(f"{m:.2f}" if m else "" for m in means) + " |")
    for label, key, unit in [
        ("compile, s", "compile_s", 1),
        ("XLA's temporary memory, MB", "temp_bytes", 1e6),
        ("rise of resident memory, MB", "peak_bytes", 1e6),
        ("part of GEMM peak", "gemm_fraction", 1),
    ]:
        cells = [_median(points.values(), name, key, unit) for name in candidates]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(row: dict | None, ours: dict | None) -> str:
    if row is None:
        return ""
    if "median_s" not in row:
        return "error" if "error" in row else "none"
    text = f"{1e3 * row['median_s']:.3g}"
    if ours is None or "median_s" not in ours or row is ours:
        return text
    return f"{text} ({row['median_s'] / ours['median_s']:.2f})"


def _median(points: Iterable[dict[str, dict]], name: str, key: str, unit: float) -> str:
    values = [point[name].get(key) for point in points if name in point]
    values = [value for value in values if value is not None]
    return f"{statistics.median(values) / unit:.2g}" if values else ""


def print_changes(rows: list[dict], recorded: list[dict]) -> bool:
    """Prints ratios beside recorded ones; True if one group of points became slower.

    Only ratios are compared: absolute times belong to one machine and one hour.
    """
    now, then = _ratios_by_point(rows), _ratios_by_point(recorded)
    groups: dict[tuple[str, str], list[float]] = {}
    for key, (group, ratio) in now.items():
        if key in then:
            groups.setdefault((group, key[1]), []).append(ratio / then[key][1])
    for (group, candidate), changes in groups.items():
        change = geometric_mean(changes)
        print(f"{group}, {candidate} over {OURS}: {change:.2f} of the recorded ratio")
    return any((geometric_mean(changes) or 1) < SLOWER for changes in groups.values())


def _ratios_by_point(rows: list[dict]) -> dict[tuple[str, str], tuple[str, float]]:
    ours = {name(row): row for row in rows if row["candidate"] == OURS and "median_s" in row}
    return {
        (name(row), row["candidate"]): (
            group_name(row),
            row["median_s"] / ours[name(row)]["median_s"],
        )
        for row in rows
        if row["candidate"] != OURS and "median_s" in row and name(row) in ours
    }


if __name__ == "__main__":
    main()
