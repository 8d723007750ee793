"""Log-log plots of time, memory and compile time against sizes, and bars of ratios."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks import report

AXES = {"B": 0, "T": 1, "D": 2, "H": 3}
QUANTITIES = {
    "median_s": "seconds",
    "peak_bytes": "rise of resident memory, bytes",
    "compile_s": "compile time, seconds",
}


def draw(rows: list[dict], folder: Path) -> None:
    """Writes one PNG for each group of points: sweeps of one size, and ratios."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for row in rows if "median_s" in row]
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(report.group_name(row), []).append(row)
    for group, members in groups.items():
        stem = group.replace(" ", "_")
        _draw_ratios(group, members, folder / f"ratios_{stem}.png")
        for axis in [*AXES, "layers"]:
            sweep = _sweep(members, axis)
            if len({_size(row, axis) for row in sweep}) > 2:
                _draw_sweep(group, axis, sweep, folder / f"sweep_{axis}_{stem}.png")


def _size(row: dict, axis: str) -> int:
    return row["layers"] if axis == "layers" else row["shape"][AXES[axis]]


def _sweep(rows: list[dict], axis: str) -> list[dict]:
    """The most numerous rows that differ in this size alone."""
    families: dict[tuple, list[dict]] = {}
    for row in rows:
        others = tuple(_size(row, other) for other in [*AXES, "layers"] if other != axis)
        families.setdefault(others, []).append(row)
    return max(families.values(), key=lambda family: len({_size(row, axis) for row in family}))


def _draw_sweep(group: str, axis: str, rows: list[dict], path: Path) -> None:
    figure, panels = plt.subplots(1, len(QUANTITIES), figsize=(13, 4), layout="constrained")
    for panel, (key, label) in zip(panels, QUANTITIES.items(), strict=True):
        for candidate in dict.fromkeys(row["candidate"] for row in rows):
            mine = [row for row in rows if row["candidate"] == candidate and row.get(key)]
            mine.sort(key=lambda row: _size(row, axis))
            panel.loglog(
                [_size(row, axis) for row in mine],
                [row[key] for row in mine],
                "o-",
                label=candidate,
            )
        panel.set(xlabel=axis, ylabel=label)
    panels[0].legend()
    figure.suptitle(group)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw_ratios(group: str, rows: list[dict], path: Path) -> None:
    points: dict[str, dict[str, dict]] = {}
    for row in rows:
        points.setdefault(report.shape_name(row), {})[row["candidate"]] = row
    candidates = [c for c in dict.fromkeys(row["candidate"] for row in rows) if c != report.OURS]
    figure, panel = plt.subplots(figsize=(max(6, 1.5 * len(points)), 4), layout="constrained")
    width = 0.8 / max(1, len(candidates))
    for number, candidate in enumerate(candidates):
        heights = [sum(report.ratios([point], candidate)) for point in points.values()]
        panel.bar(
            [at + number * width for at in range(len(points))], heights, width, label=candidate
        )
    panel.axhline(1, color="black", linewidth=1)
    panel.set_xticks(range(len(points)), list(points), rotation=20)
    panel.set(ylabel=f"time over that of {report.OURS}", title=group)
    panel.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)
